-- result: what became of a durable task; who asks too early is told by a hint when to ask again.
-- ARGV: channel session floor seen task_id
-- Reply: status serial kind value (kind: c done, with its result; f, x, h dead, see include/die.lua)
-- Statuses: OK QUEUED (a hint will come) UNKNOWN_TASK NO_RESULT (none is kept of this task) BACKPRESSURE (too many ask) EXPIRED
-- Cost: O(1). Works on a full server
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, task_id = unpack(ARGV)
--@include arguments
check_call(floor, seen)
--@include upkeep
--@include reply
--@include task_row
--@include orders

redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
if not enter(floor, seen) then return reply(EXPIRED) end
local task = read_task(task_id)
if not task then
  local value = redis.call('HGET', K.orders, 'r' .. task_id)
  if not value then return reply(UNKNOWN_TASK) end
  return reply(OK, 'c', value)
end
if task.state == 'D' then
  local why = redis.call('HGET', K.orders, 'e' .. task_id) or 'h'
  return reply(OK, string.sub(why, 1, 1), string.sub(why, 2))
end
local order = task.flags >= 2 and read_order(task_id)
if not order or order.ttl == 0 then return reply(NO_RESULT) end
local asking = redis.call('HGET', K.orders, 'w' .. task_id) or ''
if not string.find(asking, SESSION .. ',', 1, true) then
  if #asking > MOST_TEXT then return reply(BACKPRESSURE) end
  redis.call('HSET', K.orders, 'w' .. task_id, asking .. SESSION .. ',')
end
return reply(QUEUED)
