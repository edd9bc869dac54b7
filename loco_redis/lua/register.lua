-- register: makes an agent known by name and type for as long as nobody unregisters it.
-- ARGV: channel session floor seen rid agent agent_type
-- Reply: status serial; REFUSED: policy facts...
-- Statuses: OK REFUSED (there are, or its tenant has, as many agents as may be) EXPIRED
-- Cost: O(1)
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, rid, agent, agent_type = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
check(agent ~= '' and #agent <= MOST_ID and not string.find(agent, '\0', 1, true), 'agent id')
check(#agent_type <= MOST_ID, 'agent type')
--@include upkeep
--@include reply
--@include once

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply(OK) end
if redis.call('HEXISTS', K.agents, agent) == 0 then
  if redis.call('HLEN', K.agents) >= MOST_AGENTS then return reply(REFUSED, 'full', 'agents', MOST_AGENTS) end
  if S.features then
    --@include membership
    local most = join(agent)
    if most then return reply(REFUSED, 'tenant_agents', most) end
  end
end
redis.call('HSET', K.agents, agent, agent_type)
leave_tombstone(rid)
return reply(OK)
