-- submit: puts a durable task into an agent's queue; it stays there until it is served or cancelled.
-- ARGV: channel session floor seen rid agent weight max_attempts body given (as for acquire)
-- Reply: status serial (the task's id is the rid); REFUSED: policy facts...
-- Statuses: OK REFUSED EXPIRED
-- Cost: O(log N)
-- Keeps: 1-10; a repeat of the same rid changes nothing
local CHANNEL, SESSION, floor, seen, rid, agent, weight, max_attempts, body, given = unpack(ARGV)
--@include upkeep
--@include reply
--@include once
--@include task_row
--@include queue

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) or read_task(rid) then return reply(OK) end

local terms = ''
if S.G then
  local plan, refusal = S.G.decide(agent, tonumber(weight), given)
  if not plan then
    --@include refuse
    refuse(agent, refusal[1], { unpack(refusal, 2) })
    return reply(REFUSED, unpack(refusal))
  end
  terms = S.G.admit(plan)
elseif given ~= '' then
  --@include terms
  terms = bare_terms(given)
end
S.seq = S.seq + 1
local task = { id = rid, state = 'Q', seq = S.seq, tick = S.tick, weight = tonumber(weight), attempt = 0,
  max_attempts = tonumber(max_attempts), has_body = body == '' and '0' or '1', terms = terms,
  agent = agent }
write_task(task)
if body ~= '' then redis.call('HSET', K.bodies, rid, body) end
local load = load_of(agent)
add_task(load, 'd', task.seq, task.tick, task.weight, rid, terms)
store_load(load)
if S.note then S.note('submitted', agent, 'id', rid, 'weight', weight, 'depth', int(load.q)) end
leave_tombstone(rid)
return reply(OK)
