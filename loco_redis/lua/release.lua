-- release: ends a lease, charges it, moves the tick and grants the slot to the next.
-- ARGV: channel session floor seen rid token charge_weight
-- Reply: status serial tick cost grants... (cost: what the lease cost in all; charge 1: its weight unless settled)
-- Statuses: OK FINISHED (no such lease any more) EXPIRED
-- Cost: O(log N), and one choice. Works on a full server
-- Keeps: 1-10; a repeat changes nothing
local CHANNEL, SESSION, floor, seen, rid, token, charge_weight = unpack(ARGV)
--@include upkeep
--@include finish
--@include charge

redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
local session = enter(floor, seen)
if not session then return reply(EXPIRED) end

local request = read_request(rid)
if not request or request.state ~= 'G' or request.token ~= token then
  return reply_with_grants(FINISHED, S.tick, 0)
end
finish(request)
local cost = request.settled
if not cost then
  cost = charge_weight == '1' and request.weight or 0
  charge(request.agent, cost)
end
if request.task ~= '' then
  --@include task_row
  drop_task(request.task)
end
S.tick, S.released = S.tick + 1, S.released + 1
if string.sub(rid, -12) + 0 >= session.floor then
  --@include once
  leave_tombstone(rid)
end
return reply_with_grants(OK, S.tick, cost)
