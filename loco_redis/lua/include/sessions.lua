-- Sessions: who may ask, what its client has seen, how many grants it was given.
--@include state

local known = {}

local function session_row(id)
  local session = known[id]
  if session then return session end
  local row = redis.call('HGET', K.sessions, id)
  if not row then return nil end
  local floor, delivered, info = string.match(row, '^(%d+)|(%d+)|(.*)$')
  session = { floor = tonumber(floor), delivered = tonumber(delivered), info = info }
  known[id] = session
  return session
end

-- The session of a request id, `<session>:<12 digits>`, and its sequence.
local function owner_of(rid)
  return string.sub(rid, 1, -14), tonumber(string.sub(rid, -12))
end

local function write_sessions()
  for id, session in pairs(known) do
    if session.changed then
      redis.call('HSET', K.sessions, id, string.format('%d|%d|', session.floor, session.delivered) .. session.info)
    end
  end
end

-- Gives a session another lease from now on.
local function renew(id)
  local deadline = S.vnow + S.lease
  redis.call('ZADD', K.deadlines, deadline, id)
  if S.due == 0 or deadline < S.due then S.due = deadline end
end

-- Is the calling session alive? Takes in what its client has seen: replies below `floor` need no
-- tombstones any more, and no token at or below `seen` may be given out again.
local function admit(id, floor, seen)
  local deadline = redis.call('ZSCORE', K.deadlines, id)
  if not deadline or tonumber(deadline) <= S.vnow then return false end
  local session = session_row(id)
  if floor > session.floor then
    session.floor, session.changed = floor, true
    redis.call('ZREMRANGEBYLEX', K.tombstones, '[' .. id .. ':', '(' .. id .. string.format(':%012d', floor))
  end
  if seen > S.fence then S.fence = seen end
  return true
end

-- Has this call been carried out before, or cancelled?
local function done_before(rid)
  local id, sequence = owner_of(rid)
  return sequence < session_row(id).floor or redis.call('ZSCORE', K.tombstones, rid) ~= false
end

local function leave_tombstone(rid)
  local id, sequence = owner_of(rid)
  if sequence >= session_row(id).floor then redis.call('ZADD', K.tombstones, 0, rid) end
end
