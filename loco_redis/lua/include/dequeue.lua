-- Taking tasks out of an agent's queue.
--@include loads

-- Counts a task out of the load, which the caller stores.
local function take_task(load, lane, seq, tick, weight, id)
  load.q = load.q - weight
  if lane == 'b' then load.bound = load.bound - 1 else load.durable = load.durable - 1 end
  if id ~= load.head then
    --@include queue
    redis.call('ZREM', K.queue, lane_member(load.agent, lane, seq, tick, id))
  elseif load.bound + load.durable > 0 then
    --@include next_head
    next_head(load)
  end
end
