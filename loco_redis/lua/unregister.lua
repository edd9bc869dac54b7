-- unregister: forgets an agent that has nothing queued, waiting or held.
-- ARGV: channel session floor seen rid agent
-- Reply: status serial
-- Statuses: OK UNKNOWN_AGENT AGENT_BUSY EXPIRED
-- Cost: O(held)
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, rid, agent = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
--@include upkeep
--@include reply
--@include once
--@include loads
--@include holding

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply(OK) end
local load = load_of(agent)
if load.bound + load.durable > 0 or (holding()[agent] or 0) > 0 then return reply(AGENT_BUSY) end
if redis.call('HDEL', K.agents, agent) == 0 then return reply(UNKNOWN_AGENT) end
if S.features then
  --@include membership
  part(agent)
end
leave_tombstone(rid)
return reply(OK)
