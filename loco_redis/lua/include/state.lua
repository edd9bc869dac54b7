-- `vars` as the table S: read once and, by `reply` (upkeep.lua), written once.
--@include keys

local S -- nil where there is no scheduler (any more), and where another version has written its own form

local function read_state()
  local v = redis.call('HMGET', K.vars, 'counters', 'config', 'schema')
  if not v[1] or v[3] ~= '1' then return end -- SCHEMA of _scripts.py
  local capacity, alpha, lease, max_waiters, version = string.match(v[2], '^(%d+)|([^|]+)|(%d+)|(-?%d+)|(%d+)$')
  local serial, tick, seq, fence, held, waiting, peak, granted, released, reclaimed, raw, vnow, due, servers, alarm, features =
    string.match(v[1],
    '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%a*)$')
  S = { capacity = capacity + 0, alpha = alpha + 0, lease = lease + 0, max_waiters = max_waiters + 0, version = version + 0,
    set_alpha = alpha, -- as it was set; the one in force may tune itself
    serial = serial + 0, tick = tick + 0, seq = seq + 0, fence = fence + 0, held = held + 0, waiting = waiting + 0,
    peak = peak + 0, granted = granted + 0, released = released + 0, reclaimed = reclaimed + 0, raw = raw + 0,
    vnow = vnow + 0, due = due + 0, servers = servers + 0, alarm = alarm + 0 }
  S.limit = S.capacity -- slots that may be held at present
  if features ~= '' then
    --@include features
    read_features(features)
  end
end
