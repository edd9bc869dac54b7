-- plan_open: stores a plan that is to be run, or finds the one that has this id.
-- KEYS: plan steps graph due results errors
-- ARGV: digest definition (JSON) name inputs (JSON) ttl (ms, of the keys after the end),
--   then for each step, in topological order: waits (how many dependencies) graph (mode|retries|dependents)
-- Reply: created (0 or 1) digest definition inputs state: what is stored
-- Cost: O(steps); O(1) where it is there. Repeating it changes nothing
--@include plan_rows
local digest, definition, name, inputs, ttl = unpack(ARGV, 1, 5)
local stored = redis.call('HMGET', PLAN, 'digest', 'definition', 'inputs', 'state')
if stored[1] then return { 0, stored[1], stored[2], stored[3], stored[4] } end
-- A user who may not do this is told so before anything is written: a scheduler's rights lack only this.
redis.call('PEXPIRE', PLAN, ttl)

local now, steps = clock(), (#ARGV - 5) / 2
-- Fencing numbers begin at the time: they grow although an id is used again after its keys have gone.
redis.call('HSET', PLAN, 'digest', digest, 'definition', definition, 'name', name, 'inputs', inputs,
  'ttl', ttl, 'state', 'running', 'failed', 0, 'fence', whole(now), 'created', whole(now), 'ended', 0,
  'left', whole(steps))
for number = 1, steps do
  local index, waits = string.format('%04d', number), tonumber(ARGV[4 + 2 * number])
  local s = { index = index, state = 'pending', waits = waits, attempt = 0, failures = 0, fence = '0',
    owner = '', due = 0, started = 0, ended = 0 }
  redis.call('HSET', GRAPH, index, ARGV[5 + 2 * number])
  if waits == 0 then offer(s, now) else write_step(s) end
end
return { 1, digest, definition, inputs, 'running' }
