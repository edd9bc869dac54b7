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

-- Grants while a slot is free and somebody may have it.
local function grant_all()
  S.wake = nil
  if S.held >= S.limit or S.waiting == 0 then return end
  --@include grant
  repeat
    local wait = S.G and S.G.pause and S.G.pause() or 0
    local agent, score = choose()
    if agent and wait == 0 and S.tpm and S.tpm > 0 then wait = S.G.pause_for(S.G.next_tokens(load_of(agent))) end
    S.wake = agent and wait > 0 and S.vnow + wait or nil
    if agent and not S.wake then serve(load_of(agent), score) end
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

-- Steps 6 and 7, and the reply: status, serial, and the verb's own values. The first write needs
-- memory, so that a full server refuses the script before it has changed anything (README.md, rule 5).
local function write(status, ...)
  if not S then return { status, 0 } end
  grant_all()
  S.serial = S.serial + 1
  redis.call('HSET', K.vars, 'counters', string.format('%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%s', S.serial, S.tick, S.seq,
    S.fence, S.held, S.waiting, S.peak, S.granted, S.released, S.reclaimed, S.raw, S.vnow, S.due, S.features or ''))
  if S.features then
    if S.wake and S.wake ~= S.told then
      --@include tell_wake
      tell_wake()
    end
    --@include features
    write_features()
    if S.noted then
      --@include write_events
      write_events()
    end
  end
  if S.accounts then
    --@include write_accounts
    write_accounts()
  end
  for id, session in pairs(sessions) do
    if session.changed then
      redis.call('HSET', K.sessions, id, string.format('%d|%d|%d|%d|%d|', session.deadline, session.floor,
        session.last, session.tombs, session.delivered) .. session.info)
    end
  end
  for _, slot in ipairs(freed) do
    redis.call('SETBIT', K.slots, slot, '0')
    redis.call('HDEL', K.holders, slot)
  end
  if purge_below then
    redis.call('ZREMRANGEBYLEX', K.tombstones, '[' .. SESSION .. ':', '(' .. SESSION .. string.format(':%012d', purge_below))
  end
  if indexed and S.waiting == 0 then redis.call('DEL', K.buckets) end
  if held_before and S.held == 0 then redis.call('DEL', K.slots) end
  return { status, S.serial, ... }
end

-- A reply that ends with the grants made to requests of the calling session.
local function reply_with_grants(status, ...)
  local values = write(status, ...)
  for _, grant in ipairs(own_grants) do values[#values + 1] = grant end
  return values
end
