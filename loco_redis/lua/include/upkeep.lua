-- What every writing script does before its verb and after it (README.md): there is no daemon.
-- What is not always needed is included where it is used, inside a function: a script makes its
-- functions anew at each call, and making all of them would cost a tenth of its time.
--@include status
--@include sessions
--@include loads

local own_grants = {} -- told in the reply; other sessions are told by a hint
local reaped = 0

-- Grants while a slot is free and somebody may have it.
local function grant_all()
  if S.held >= S.capacity or S.waiting == 0 then return end
  --@include grant
  repeat
    local winner = choose()
    if winner then serve(winner) end
  until not winner or S.held >= S.capacity or S.waiting == 0
end

local function reaping_left()
  return S.due > 0 and S.due <= S.vnow
end

-- Ends expired sessions, the earliest deadline first, as far as 100 units go.
local function reap()
  --@include end_session
  while reaped < 100 do
    local first = redis.call('ZRANGE', K.deadlines, 0, 0, 'WITHSCORES')
    S.due = (first[2] or 0) + 0
    if not reaping_left() then return end
    reaped = reaped + end_session(first[1], 100 - reaped)
  end
end

-- Steps 1 to 3. False: there is no scheduler here (any more).
local function begin()
  if not read_state() then return false end
  advance_clock()
  if reaping_left() then
    reap()
    grant_all()
  end
  return true
end

-- On a full server Redis refuses a script's first write if it may need memory, but none after a
-- write that needs none: a script that must get through starts with this one.
local function write_when_full()
  redis.call('HDEL', K.vars, '')
end

-- Steps 6 and 7, and the reply: status, serial, the verb's own values, then own grants.
local function reply(status, ...)
  grant_all()
  write_state()
  write_sessions()
  return { status, S.serial, ... }
end

local function reply_with_grants(status, ...)
  local values = reply(status, ...)
  for _, grant in ipairs(own_grants) do values[#values + 1] = grant end
  return values
end
