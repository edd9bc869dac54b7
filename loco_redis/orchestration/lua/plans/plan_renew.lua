-- plan_renew: keeps the claims of a runner, if they still are its own.
-- KEYS: plan steps graph due results errors
-- ARGV: ttl (us), then index and fence of each claim
-- Reply: state (of the plan; '' = no such plan), the indices of claims that are lost
-- Cost: O(claims log steps)
--@include plan_rows
local ttl = ARGV[1]
local state, now = redis.call('HGET', PLAN, 'state'), clock()
local reply = { state or '' }
for place = 2, #ARGV, 2 do
  local s = state == 'running' and read_step(ARGV[place])
  if s and s.state == 'running' and s.fence == ARGV[place + 1] then
    offer(s, now + ttl)
  else
    reply[#reply + 1] = ARGV[place]
  end
end
return reply
