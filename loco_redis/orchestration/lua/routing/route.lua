-- route: decide which backend a request goes to, and reserve a place there.
-- KEYS: state flights expiry (routing/state.lua)
-- ARGV: id ttl (us) random1 random2 (0 to 1) slo (us, 0: none) limit downgrade_at (millionths; limit 0: no budget)
--   period (us, 0: none) probes (allowed at once); then for each backend:
--   name capacity weight (thousandths) cost (estimate, millionths) draw (by the key, 0: there is none) excluded (0, 1)
-- Reply: 1 backend generation probe low: so decided, now or when the same id came before
--   0 wait: none may be used; the next breaker lets a probe through in so many us (-1: not known)
-- Cost: O(backends). A repeat with the same id changes nothing. Reservations that expired go first.
-- `choose` is replaced by the file of the router's strategy.
local id, ttl, random1, random2, slo, limit, downgrade_at, period, probes = unpack(ARGV, 1, 9)
--@include state
--@include period

local row = redis.call('HGET', FLIGHTS, id)
if row then
  local backend, probe, generation, low = string.match(row, '^([^|]+)|(%d)|(%d+)|%d+|(%d)$')
  return { 1, backend, generation, probe, low }
end
reap()
renew_budget(period)
local low = false
if limit + 0 > 0 then
  local money = redis.call('HMGET', STATE, 'spent', 'reserved')
  low = limit - (money[1] or 0) - (money[2] or 0) < downgrade_at + 0
end
--@include candidates
local pick
--@include choose
if not pick then return { 0, resume and int(resume - now) or '-1' } end

local probe, lowered = pick.probe and '1' or '0', low and '1' or '0'
local cost, generation = int(pick.cost), int(pick.generation)
redis.call('HSET', FLIGHTS, id, table.concat({ pick.name, probe, generation, cost, lowered }, '|'))
redis.call('ZADD', EXPIRY, int(now + ttl), id)
redis.call('HINCRBY', STATE, pick.name .. '/load', '1')
redis.call('HINCRBY', STATE, pick.name .. '/picked', '1')
if pick.probe then redis.call('HINCRBY', STATE, pick.name .. '/probes', '1') end
if pick.cost > 0 then redis.call('HINCRBY', STATE, 'reserved', cost) end
redis.call('HSET', STATE, pick.name .. '/last', int(redis.call('HINCRBY', STATE, 'turns', '1')))
return { 1, pick.name, generation, probe, lowered }
