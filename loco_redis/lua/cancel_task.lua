-- cancel_task: takes a durable task away that does not run.
-- ARGV: channel session floor seen rid task_id
-- Reply: status serial grants...
-- Statuses: OK TASK_RUNNING UNKNOWN_TASK EXPIRED
-- Cost: O(log N)
-- Keeps: 1-10; an open request that loses its task gets an implicit one of weight 1, of the request's own age
local CHANNEL, SESSION, floor, seen, rid, task_id = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
--@include upkeep
--@include reply
--@include once
--@include task_row
--@include orders

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply_with_grants(OK) end

local task = read_task(task_id)
if not task then return reply_with_grants(UNKNOWN_TASK) end
if task.state == 'R' then return reply_with_grants(TASK_RUNNING) end
leave_tombstone(rid)
if task.terms ~= '' and task.state ~= 'D' then
  --@include accounts
  settle_terms(task.agent, task.terms, 0)
end
if task.state == 'Q' then
  --@include drop_queued
  drop_queued(task)
else
  redis.call('ZREM', task.state == 'D' and K.dead or K.later, task_id)
end
drop_task(task_id)
local order = task.flags >= 2 and read_order(task_id)
if order then forget_order(task_id, order) end
return reply_with_grants(OK)
