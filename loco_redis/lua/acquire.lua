-- acquire: asks for a slot for an agent, with a task of its own (weight) or for the agent's oldest durable task.
-- ARGV: channel session floor seen rid agent weight given (`cost:tokens:labels`, or empty)
-- Reply: status serial tick wake depth grants... (own, of this script; wake: look again in so many us; depth: Q with this request in it); REFUSED: policy facts...
-- Statuses: GRANTED QUEUED FINISHED BACKPRESSURE REFUSED EXPIRED
-- Cost: O(log N), and one choice where a slot is free
-- Keeps: 1-10; a repeat of the same rid changes nothing
local CHANNEL, SESSION, floor, seen, rid, agent, weight, given = unpack(ARGV)
--@include check_task
check_call(floor, seen)
check_rid(rid, floor)
check_task(agent, weight, given)
--@include upkeep
--@include acquire_slot

local session = enter(floor, seen)
if not session then return reply_with_grants(EXPIRED) end
return reply_with_grants(acquire_slot(session, rid, agent, weight, given))
