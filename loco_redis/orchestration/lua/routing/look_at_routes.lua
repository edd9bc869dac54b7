-- look_at_routes: the state of each backend, for people. Reservations that expired go first.
-- KEYS: state flights expiry (routing/state.lua)
-- ARGV: period (us, 0: none), then the names of backends
-- Reply: spent reserved (millionths), then for each backend: open (0 closed, 1 open, 2 half open) wait (us until it is
--   half open) hold (us) load probes latency (us, -1: none) picked ok failed cost
-- Cost: O(backends)
local period = ARGV[1]
--@include state
--@include period
reap()
renew_budget(period)
local money = redis.call('HMGET', STATE, 'spent', 'reserved')
local reply = { money[1] or '0', money[2] or '0' }
for i = 2, #ARGV do
  local name = ARGV[i]
  local found = redis.call('HMGET', STATE, name .. '/health', name .. '/hold', name .. '/latency', name .. '/load',
    name .. '/probes', name .. '/picked', name .. '/ok', name .. '/failed', name .. '/cost')
  local _, till = health_of(found[1])
  reply[#reply + 1] = till == 0 and '0' or till > now and '1' or '2'
  reply[#reply + 1] = int(math.max(till - now, 0))
  reply[#reply + 1] = int(math.max((found[2] or 0) - now, 0))
  reply[#reply + 1] = found[4] or '0'
  reply[#reply + 1] = found[5] or '0'
  reply[#reply + 1] = string.match(found[3] or '', '^%d+') or '-1'
  for j = 6, 9 do reply[#reply + 1] = found[j] or '0' end
end
return reply
