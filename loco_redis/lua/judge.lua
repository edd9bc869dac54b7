-- judge: tells how a piece of work went, for the agent's trust or (signal `wait`) for the SLO alone.
-- ARGV: channel session floor seen rid agent signal (success, error, timeout, wait) waited (ticks)
-- Reply: status serial
-- Statuses: OK EXPIRED
-- Cost: O(log N)
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, rid, agent, signal, waited = unpack(ARGV)
--@include arguments
--@include numbers
check_call(floor, seen)
check_rid(rid, floor)
check(agent ~= '' and #agent <= MOST_ID, 'agent id')
check(string.find(' success error timeout wait ', ' ' .. signal .. ' ', 1, true) and is_number(waited, MOST_COST), 'signal')
--@include upkeep
--@include reply
--@include once
--@include slo

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply(OK) end
leave_tombstone(rid)
if signal == 'wait' then
  record_wait(waited + 0)
elseif S.G and S.G.judge then
  S.G.judge(agent, signal, waited + 0)
end
return reply(OK)
