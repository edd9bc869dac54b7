-- cancel: withdraws a request, or gives back the grant that it has just won.
-- ARGV: channel session floor seen rid is_late (1: its caller ran out of time)
-- Reply: status serial grants...
-- Statuses: OK FINISHED (nothing was there) EXPIRED
-- Cost: O(log N), and one choice where a slot comes free. Works on a full server
-- Keeps: 1-10; also an unknown rid leaves a tombstone, so that a late duplicate cannot revive it
local CHANNEL, SESSION, floor, seen, rid, is_late = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
--@include upkeep
--@include reply
--@include once
--@include withdraw
--@include finish
--@include task_row

redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
if not enter(floor, seen) then return reply(EXPIRED) end

local request = read_request(rid)
leave_tombstone(rid)
if not request then return reply_with_grants(FINISHED) end
if is_late == '1' and request.lane ~= 's' then -- who serves waits for work: no refusal
  --@include tally
  tally('f', 'timeout', 1)
  if S.G and S.G.judge then S.G.judge(request.agent, 'timeout', 0) end
end
if S.note then S.note('cancelled', request.agent, 'id', rid, 'state', request.state, 'late', is_late) end
if request.state == 'W' then
  withdraw(request)
else -- as if the grant had not been made
  finish(request, 0)
  if S.G and S.G.take_rate then S.G.take_rate(request.terms, -1) end
  if request.terms ~= '' and not request.settled then
    --@include accounts
    settle_terms(request.agent, request.terms, 0)
  end
  if request.task ~= '' then
    local task = read_task(request.task)
    task.attempt = task.attempt - 1
    --@include put_back
    put_back(task, 0, '')
  end
end
return reply_with_grants(OK)
