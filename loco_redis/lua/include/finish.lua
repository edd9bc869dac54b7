-- The one place that ends a lease. What becomes of its task and cost, the verbs say.
--@include queue

local function finish(request)
  redis.call('SETBIT', K.slots, request.slot, 0)
  redis.call('HDEL', K.holders, request.slot)
  S.held = S.held - 1
  drop_request(request.id)
end

-- Puts a durable task back where it was: same submit sequence, same arrival.
local function requeue(task)
  task.state = 'Q'
  write_task(task)
  local load = load_of(task.agent)
  add_task(load, 'd', task.seq, task.tick, task.weight, task.id)
  store_load(load)
end
