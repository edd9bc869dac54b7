-- register: makes an agent known by name and type for as long as nobody unregisters it.
-- ARGV: channel session floor seen rid agent agent_type
-- Reply: status serial; REFUSED: policy facts...
-- Statuses: OK REFUSED (its tenant has as many agents as it may) EXPIRED
-- Cost: O(1)
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, rid, agent, agent_type = unpack(ARGV)
--@include upkeep
--@include reply
--@include once

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply(OK) end
if S.features and redis.call('HEXISTS', K.agents, agent) == 0 then
  --@include membership
  local most = join(agent)
  if most then return reply(REFUSED, 'tenant_agents', most) end
end
redis.call('HSET', K.agents, agent, agent_type)
leave_tombstone(rid)
return reply(OK)
