-- The oldest open request serves the agent's head, a durable task.
--@include task_row
--@include open_lane
--@include lane_head
--@include hold

local function serve_durable(load, score)
  local task, opened = read_task(load.head), lane_head(load.agent, 'o')
  take_open(load, opened.seq, opened.tick, opened.id)
  take_task(load, 'd', task.seq, task.tick, task.weight, task.id)
  store_load(load)
  task.state, task.attempt = 'R', task.attempt + 1
  write_task(task)
  hold({ id = opened.id, lane = 'o', weight = task.weight, attempt = int(task.attempt), task = task.id,
    terms = task.terms, agent = load.agent }, score, S.tick - task.tick, task.has_body)
end
