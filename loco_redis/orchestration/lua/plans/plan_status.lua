-- plan_status: how a plan stands, at one moment.
-- KEYS: plan steps graph due results errors
-- ARGV: none
-- Reply: now (us) then the hashes plan, steps, errors as flat arrays; an empty plan = no such plan
-- Cost: O(steps). Writes nothing
--@include plan_rows
return { whole(clock()), redis.call('HGETALL', PLAN), redis.call('HGETALL', STEPS), redis.call('HGETALL', ERRORS) }
