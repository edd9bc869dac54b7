-- submit: puts a durable task into an agent's queue; it stays there until it is served or cancelled.
-- ARGV: channel session floor seen rid agent weight max_attempts body
-- Reply: status serial (the task's id is the rid)
-- Statuses: OK EXPIRED
-- Cost: O(log N)
-- Keeps: 1-10; a repeat of the same rid changes nothing
local CHANNEL, SESSION, floor, seen, rid, agent, weight, max_attempts, body = unpack(ARGV)
--@include upkeep
--@include once
--@include task_row
--@include queue

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) or read_task(rid) then return reply(OK) end

S.seq = S.seq + 1
local task = { id = rid, state = 'Q', seq = S.seq, tick = S.tick, weight = tonumber(weight), attempt = 0,
  max_attempts = tonumber(max_attempts), has_body = body == '' and '0' or '1', agent = agent }
write_task(task)
if body ~= '' then redis.call('HSET', K.bodies, rid, body) end
local load = load_of(agent)
add_task(load, 'd', task.seq, task.tick, task.weight, rid)
store_load(load)
leave_tombstone(rid)
return reply(OK)
