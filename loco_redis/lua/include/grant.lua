-- Lets the chosen agent have a slot: takes its task out of the queue, and holds the slot for the request.
--@include open_lane
--@include select
--@include hold

local function serve_bound(load, head, score)
  local request = read_request(head.id)
  take_task(load, 'b', request.seq, request.tick, request.weight, request.id)
  store_load(load)
  request.attempt, request.task = '1', ''
  hold(request, score, S.tick - request.tick, '0')
end

local function serve_durable(load, head, score)
  local task, opened = read_task(head.id), lane_head(load.agent, 'o')
  take_open(load, opened.seq, opened.tick, opened.id)
  take_task(load, 'd', task.seq, task.tick, task.weight, task.id)
  store_load(load)
  task.state, task.attempt = 'R', task.attempt + 1
  write_task(task)
  hold({ id = opened.id, lane = 'o', weight = task.weight, attempt = int(task.attempt), task = task.id,
    agent = load.agent }, score, S.tick - task.tick, task.has_body)
end

-- The older of the agent's own tasks and its durable ones goes first.
local function serve(winner)
  local load = load_of(winner.agent)
  local bound = load.bound > 0 and lane_head(load.agent, 'b') or nil
  local durable = load.open > 0 and lane_head(load.agent, 'd') or nil
  S.waiting = S.waiting - 1
  if durable and not (bound and bound.seq < durable.seq) then
    serve_durable(load, durable, winner.score)
  else
    serve_bound(load, bound, winner.score)
  end
end
