-- An agent's tasks. The oldest, its head, stands in the load; the others in `queue`, oldest first, in
-- lanes: `b` bound to a waiting request, `d` durable. Lane `o` is in open_lane.lua.
--@include loads

local function lane_member(agent, lane, seq, tick, id)
  return agent .. '\0' .. lane .. string.format('%016d%012d', seq, tick) .. id
end

-- Counts a task into the load, which the caller stores.
local function add_task(load, lane, seq, tick, weight, id, terms)
  local first, older = load.bound + load.durable == 0, seq < load.seq
  if older and not first then
    redis.call('ZADD', K.queue, '0', lane_member(load.agent, load.lane, load.seq, load.tick, load.head))
  end
  if older or first then
    load.seq, load.tick, load.lane, load.weight, load.head, load.terms = seq, tick, lane, weight, id, terms
  else
    redis.call('ZADD', K.queue, '0', lane_member(load.agent, lane, seq, tick, id))
  end
  load.q = load.q + weight
  if lane == 'b' then load.bound = load.bound + 1 else load.durable = load.durable + 1 end
end
