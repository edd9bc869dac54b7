-- cancel_task: takes a queued or dead durable task away.
-- ARGV: channel session floor seen rid task_id
-- Reply: status serial grants...
-- Statuses: OK TASK_RUNNING UNKNOWN_TASK EXPIRED
-- Cost: O(log N)
-- Keeps: 1-10; an open request that loses its task gets an implicit one of weight 1, of the request's own age
local CHANNEL, SESSION, floor, seen, rid, task_id = unpack(ARGV)
--@include upkeep
--@include reply
--@include once
--@include task_row
--@include request_row
--@include waiting_row
--@include open_lane
--@include lane_head

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply_with_grants(OK) end

local task = read_task(task_id)
if not task then return reply_with_grants(UNKNOWN_TASK) end
if task.state == 'R' then return reply_with_grants(TASK_RUNNING) end
drop_task(task_id)
if task.terms ~= '' and task.state == 'Q' then
  --@include accounts
  settle_terms(task.agent, task.terms, 0)
end
leave_tombstone(rid)
if task.state == 'D' then
  redis.call('ZREM', K.dead, task_id)
  return reply_with_grants(OK)
end

local load = load_of(task.agent)
take_task(load, 'd', task.seq, task.tick, task.weight, task_id)
if load.open > load.durable then
  local newest = lane_head(task.agent, 'o', true)
  take_open(load, newest.seq, newest.tick, newest.id)
  add_task(load, 'b', newest.seq, newest.tick, 1000, newest.id, '')
  local request = read_request(newest.id)
  request.lane, request.weight = 'b', 1000
  write_waiting(request)
end
store_load(load)
return reply_with_grants(OK)
