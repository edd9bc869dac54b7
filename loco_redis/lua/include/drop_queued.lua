-- Takes a queued durable task out of its queue; an open request that loses its task gets an implicit one of weight 1,
-- of the request's own age.
--@include request_row
--@include waiting_row
--@include open_lane
--@include lane_head

local function drop_queued(task)
  local load = load_of(task.agent)
  take_task(load, 'd', task.seq, task.tick, task.weight, task.id)
  if load.open > load.durable then
    local newest = lane_head(task.agent, 'o', true)
    take_open(load, newest.seq, newest.tick, newest.id)
    add_task(load, 'b', newest.seq, newest.tick, 1000, newest.id, '')
    local request = read_request(newest.id)
    request.lane, request.weight = 'b', 1000
    write_waiting(request)
  end
  store_load(load)
end
