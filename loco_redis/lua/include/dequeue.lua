-- Taking tasks out of an agent's queue.
--@include queue

-- The oldest entry of a lane of `queue`, or nil; `newest` asks for the other end.
local function lane_head(agent, lane, newest)
  local from, to = '[' .. agent .. '\0' .. lane, '(' .. agent .. '\0' .. lane .. '~'
  local found
  if newest then
    found = redis.call('ZREVRANGEBYLEX', K.queue, to, from, 'LIMIT', 0, 1)[1]
  else
    found = redis.call('ZRANGEBYLEX', K.queue, from, to, 'LIMIT', 0, 1)[1]
  end
  if not found then return nil end
  local at = #agent + 3
  return { seq = string.sub(found, at, at + 15) + 0, tick = string.sub(found, at + 16, at + 27) + 0,
    id = string.sub(found, at + 28), lane = lane, member = found }
end

-- The head has gone: the oldest of lanes `b` and `d` becomes the head.
local function next_head(load)
  local head = load.bound > 0 and lane_head(load.agent, 'b') or nil
  local durable = load.durable > 0 and lane_head(load.agent, 'd') or nil
  if durable and (not head or durable.seq < head.seq) then head = durable end
  if not head then return end
  redis.call('ZREM', K.queue, head.member)
  load.seq, load.tick, load.lane, load.head = head.seq, head.tick, head.lane, head.id
  if head.lane == 'b' then
    --@include request_row
    load.weight = read_request(head.id).weight
  else
    --@include task_row
    load.weight = read_task(head.id).weight
  end
end

-- Counts a task out of the load, which the caller stores.
local function take_task(load, lane, seq, tick, weight, id)
  load.q = load.q - weight
  if lane == 'b' then load.bound = load.bound - 1 else load.durable = load.durable - 1 end
  if id == load.head then
    next_head(load)
  else
    redis.call('ZREM', K.queue, lane_member(load.agent, lane, seq, tick, id))
  end
end
