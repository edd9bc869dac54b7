-- What every writing script does before its verb and after it (README.md): there is no daemon.
--
-- A script makes its functions anew at each call, which costs. So what is not always needed is
-- included where it is used, inside a function or branch, and seen only there.
--@include status
--@include now
--@include state
--@include session_row

local loads = {} -- by agent, as loads.lua reads and writes them
local indexed, held_before -- is there anything in `buckets`; was anything held at first?
local freed = {} -- slots freed and not given on: `slots` and `holders` still have them
local own_grants = {} -- to the calling session; other sessions are told by a hint at once
local reaped = 0
local purge_below -- tombstones of the calling session below this sequence are needed no more

--@include loads

local choose_next, serve_next -- made when the script grants for the first time

-- Grants while a slot is free and somebody may have it.
local function grant_all()
  S.wake = nil
  if S.held >= S.limit or S.waiting == 0 then return end
  if not choose_next then
    --@include grant
    choose_next, serve_next = choose, serve
  end
  repeat
    local wait = S.G and S.G.pause and S.G.pause() or 0
    local agent, score = choose_next()
    if agent and wait == 0 and S.tpm and S.tpm > 0 then wait = S.G.pause_for(S.G.next_tokens(load_of(agent))) end
    S.wake = agent and wait > 0 and S.vnow + wait or nil
    if agent and not S.wake then serve_next(load_of(agent), score) end
  until not agent or S.wake or S.held >= S.limit or S.waiting == 0
end

-- Steps 1 to 3. Time passes for leases only while scripts run: a gap longer than half a lease (the
-- server stood still, was restarted, its clock was set) counts as none, so that nobody expires by it.
-- Without a scheduler S stays nil.
local function begin(works_when_full)
  read_state()
  if not S then return end
  indexed, held_before = S.waiting > 0, S.held > 0
  local gap = NOW - S.raw
  if gap > 0 and gap <= S.lease / 2 then S.vnow = S.vnow + gap end
  S.raw = NOW
  if S.features then
    --@include governance
  end
  if S.due > 0 and S.due <= S.vnow then
    if works_when_full then redis.call('HDEL', K.vars, '') end -- README.md, rule 5
    --@include reap
    reap()
    grant_all()
  end
  if S.alarm > 0 and S.alarm <= NOW then
    if works_when_full then redis.call('HDEL', K.vars, '') end
    --@include ring
    ring()
    grant_all()
  end
end

-- Steps 1 to 4: the row of the calling session, or nil if it is not alive. Takes in what its client has
-- seen: replies below `floor` need no tombstones any more, no token up to `seen` may be given again.
local function enter(floor, seen, works_when_full)
  begin(works_when_full)
  local session = S and session_row(SESSION)
  if not session or session.deadline <= S.vnow then return nil end
  floor, seen = floor + 0, seen + 0
  if floor > session.floor then
    session.floor, session.changed = floor, true
    if session.tombs > 0 then
      purge_below = floor
      if session.tombs < floor then session.tombs = 0 end
    end
  end
  if seen > S.fence then S.fence = seen end
  return session
end

-- Step 6, and what the end of a verb is, also where others follow in the same script (several.lua). Its
-- reply: status, serial, and the verb's own values.
local function conclude(status, ...)
  grant_all()
  S.serial = S.serial + 1
  if S.rang then
    --@include tell_due
    tell_due()
    S.rang = nil
  end
  if S.features then
    if S.wake and S.wake ~= S.told then
      --@include tell_wake
      tell_wake()
    end
    if S.noted then
      --@include write_events
      write_events()
    end
  end
  if S.accounts then
    --@include write_accounts
    write_accounts()
  end
  for at = #freed, 1, -1 do
    redis.call('SETBIT', K.slots, freed[at], '0')
    redis.call('HDEL', K.holders, freed[at])
    freed[at] = nil
  end
  if indexed and S.waiting == 0 then
    redis.call('DEL', K.buckets)
    indexed = false
  end
  if held_before and S.held == 0 then redis.call('DEL', K.slots) end
  held_before = S.held > 0
  return { status, S.serial, ... }
end

-- Step 7.
local function save()
  redis.call('HSET', K.vars, 'counters', string.format('%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%s', S.serial, S.tick, S.seq,
    S.fence, S.held, S.waiting, S.peak, S.granted, S.released, S.reclaimed, S.raw, S.vnow, S.due,
    S.servers, S.alarm, S.features or ''))
  if S.features then
    --@include features
    write_features()
  end
  for id, session in pairs(sessions) do
    if session.changed then
      redis.call('HSET', K.sessions, id, string.format('%d|%d|%d|%d|%d|', session.deadline, session.floor,
        session.last, session.tombs, session.delivered) .. session.info)
    end
  end
  if purge_below then
    redis.call('ZREMRANGEBYLEX', K.tombstones, '[' .. SESSION .. ':', '(' .. SESSION .. string.format(':%012d', purge_below))
  end
end

-- The end of a verb, with the grants that were made to requests of the calling session; where the reply has
-- no place for them they are told by hints.
local function conclude_with_grants(status, ...)
  local values = conclude(status, ...)
  for at, grant in ipairs(own_grants) do
    if status == EXPIRED or status == REFUSED then
      redis.call('PUBLISH', CHANNEL .. SESSION, grant)
    else
      values[#values + 1] = grant
    end
    own_grants[at] = nil
  end
  return values
end

-- The reply of a script that ends with such grants.
local function reply_with_grants(status, ...)
  if not S then return { status, 0 } end
  local values = conclude_with_grants(status, ...)
  save()
  return values
end
