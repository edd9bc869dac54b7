-- requeue: a dead durable task is queued again, with its age and as if it had not been tried; a deadline that has passed counts no more.
-- ARGV: channel session floor seen rid task_id
-- Reply: status serial grants...
-- Statuses: OK UNKNOWN_TASK TASK_ALIVE (it is queued or runs) EXPIRED
-- Cost: O(log N), and one choice where a slot is free
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, rid, task_id = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
--@include upkeep
--@include reply
--@include once
--@include task_row
--@include orders
--@include reserve
--@include requeue

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply_with_grants(OK) end

local task = read_task(task_id)
if not task then return reply_with_grants(UNKNOWN_TASK) end
if task.state ~= 'D' then return reply_with_grants(TASK_ALIVE) end
leave_tombstone(rid)
redis.call('ZREM', K.dead, task_id)
task.attempt = 0
local order = task.flags >= 2 and read_order(task_id)
if order then
  redis.call('HDEL', K.orders, 'e' .. task_id)
  order.deadline = order.deadline > NOW and order.deadline or 0
  write_order(task_id, order)
end
reserve(task.agent, task.terms)
requeue(task)
return reply_with_grants(OK)
