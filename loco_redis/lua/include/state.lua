-- `vars` as a Lua table: read once, written once. The lease clock advances here.
--@include keys
--@include now

local S = {}
local indexed, held_before -- has this script put anything into `buckets`, has it found anything held?

local function read_state()
  local v = redis.call('HMGET', K.vars, 'capacity', 'alpha', 'lease', 'max_waiters', 'version', 'counters')
  if not v[1] then return false end
  local serial, tick, seq, fence, held, waiting, peak, granted, released, reclaimed, raw, vnow, due = string.match(v[6],
    '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
  S = { capacity = v[1] + 0, alpha = v[2] + 0, lease = v[3] + 0, max_waiters = v[4] + 0, version = v[5] + 0,
    serial = serial + 0, tick = tick + 0, seq = seq + 0, fence = fence + 0, held = held + 0, waiting = waiting + 0,
    peak = peak + 0, granted = granted + 0, released = released + 0, reclaimed = reclaimed + 0, raw = raw + 0,
    vnow = vnow + 0, due = due + 0 }
  indexed, held_before = S.waiting > 0, S.held > 0
  return true
end

-- Time passes for leases only while scripts run: a gap longer than half a lease (the server stood
-- still, was restarted, its clock was set) counts as none, so that nobody expires because of it.
local function advance_clock()
  local raw = now()
  local gap = raw - S.raw
  if gap > 0 and gap <= S.lease / 2 then S.vnow = S.vnow + gap end
  S.raw = raw
end

local function write_state()
  S.serial = S.serial + 1
  redis.call('HSET', K.vars, 'counters', string.format(
    '%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|%d', S.serial, S.tick, S.seq, S.fence, S.held,
    S.waiting, S.peak, S.granted, S.released, S.reclaimed, S.raw, S.vnow, S.due))
  if indexed and S.waiting == 0 then redis.call('DEL', K.buckets) end
  if held_before and S.held == 0 then redis.call('DEL', K.slots) end
end
