-- release: ends a lease, charges it, moves the tick and grants the slot to the next.
-- ARGV: channel session floor seen rid token charge_weight cell (of the histogram of waits) labels (whom the cost is for)
-- Reply: status serial tick cost held grants... (cost: what the lease cost in all; charge 1: its weight unless settled; held: before these grants)
-- Statuses: OK FINISHED (no such lease any more) EXPIRED
-- Cost: O(log N), and one choice. Works on a full server
-- Keeps: 1-10; a repeat changes nothing
local CHANNEL, SESSION, floor, seen, rid, token, charge_weight, cell, labels = unpack(ARGV)
--@include check_release
check_call(floor, seen)
check_rid(rid, floor)
check_release(cell, labels)
--@include upkeep
--@include release_slot

local session = enter(floor, seen, true)
if not session then
  redis.call('HDEL', K.vars, '')
  return reply_with_grants(EXPIRED)
end
return reply_with_grants(release_slot(session, rid, token, charge_weight, cell, labels))
