-- Adds a cost to its agent's account; beyond 10,000 accounts to that of `__other__`.
--@include keys

local MOST_ACCOUNTS = 10000

local function charge(agent, cost)
  if cost == 0 then return end
  local total = redis.call('HINCRBY', K.costs, agent, int(cost))
  if total == cost and redis.call('HLEN', K.costs) > MOST_ACCOUNTS then
    redis.call('HDEL', K.costs, agent)
    redis.call('HINCRBY', K.costs, '__other__', int(cost))
  end
end
