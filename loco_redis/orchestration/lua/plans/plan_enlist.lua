-- plan_enlist: enters a plan into the list of all, and takes out some of those whose keys have gone.
-- KEYS: registry
-- ARGV: plan_id ttl (ms that its keys will live; empty: it has not ended)
-- Reply: OK
-- Cost: O(log plans) and those taken out. Repeating it changes nothing
local REGISTRY, plan_id, ttl = KEYS[1], ARGV[1], ARGV[2]
local now = tonumber(redis.call('TIME')[1])
for _, gone in ipairs(redis.call('ZRANGE', REGISTRY, '-inf', now, 'BYSCORE', 'LIMIT', '0', '100')) do
  redis.call('ZREM', REGISTRY, gone)
end
redis.call('ZADD', REGISTRY, ttl == '' and 'inf' or math.ceil(now + ttl / 1000), plan_id)
return redis.status_reply('OK')
