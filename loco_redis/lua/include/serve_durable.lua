-- The agent's oldest open request, or the oldest request that serves any agent, serves the agent's head, a durable task.
--@include task_row
--@include open_lane
--@include lane_head
--@include hold

local function serve_durable(load, score)
  local task, server = read_task(load.head), nil
  if load.open > 0 then
    server = lane_head(load.agent, 'o')
    take_open(load, server.seq, server.tick, server.id)
  else
    server = lane_head('', 's')
    redis.call('ZREM', K.queue, server.member)
    S.servers = S.servers - 1
  end
  take_task(load, 'd', task.seq, task.tick, task.weight, task.id)
  store_load(load)
  task.state, task.attempt = 'R', task.attempt + 1
  write_task(task)
  hold({ id = server.id, lane = server.lane, weight = task.weight, attempt = int(task.attempt), task = task.id,
    terms = task.terms, agent = load.agent }, score, S.tick - task.tick, task.flags % 2)
end
