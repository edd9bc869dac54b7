-- cancel: withdraws a request, or gives back the grant that it has just won.
-- ARGV: channel session floor seen rid
-- Reply: status serial grants...
-- Statuses: OK FINISHED (nothing was there) EXPIRED
-- Cost: O(log N), and one choice where a slot comes free. Works on a full server
-- Keeps: 1-10; also an unknown rid leaves a tombstone, so that a late duplicate cannot revive it
local CHANNEL, SESSION, floor, seen, rid = unpack(ARGV)
--@include upkeep
--@include once
--@include withdraw
--@include finish
--@include requeue

redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
if not enter(floor, seen) then return reply(EXPIRED) end

local request = read_request(rid)
leave_tombstone(rid)
if not request then return reply_with_grants(FINISHED) end
if request.state == 'W' then
  withdraw(request)
else -- as if the grant had not been made
  finish(request)
  if request.task ~= '' then
    local task = read_task(request.task)
    task.attempt = task.attempt - 1
    requeue(task)
  end
end
return reply_with_grants(OK)
