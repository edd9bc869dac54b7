-- The head has gone: the oldest of lanes `b` and `d` becomes the head.
--@include loads
--@include lane_head

local function next_head(load)
  local head = load.bound > 0 and lane_head(load.agent, 'b') or nil
  local durable = load.durable > 0 and lane_head(load.agent, 'd') or nil
  if durable and (not head or durable.seq < head.seq) then head = durable end
  redis.call('ZREM', K.queue, head.member)
  load.seq, load.tick, load.lane, load.head = head.seq, head.tick, head.lane, head.id
  if head.lane == 'b' then
    --@include request_row
    local request = read_request(head.id)
    load.weight, load.terms = request.weight, request.terms
  else
    --@include task_row
    local task = read_task(head.id)
    load.weight, load.terms = task.weight, task.terms
  end
end
