-- plan_cancel: ends a plan; what waits or runs is cancelled.
-- KEYS: plan steps graph due results errors
-- ARGV: channel
-- Reply: state before ('' = no such plan)
-- Cost: O(steps). Repeating it changes nothing
--@include plan_rows
local CHANNEL = ARGV[1]
local state = redis.call('HGET', PLAN, 'state')
if state ~= 'running' then return state or '' end

local now, rows = clock(), redis.call('HGETALL', STEPS)
for place = 1, #rows, 2 do
  local s = parse_step(rows[place], rows[place + 1])
  if s.state == 'pending' or s.state == 'running' then close_step(s, 'cancelled', now) end
end
close_plan('cancelled', now)
redis.call('PUBLISH', CHANNEL, 'cancelled')
return state
