-- evict: an operator ends a request of any session: what waits is withdrawn, a lease is reclaimed.
-- ARGV: channel session floor seen rid target (the request's rid)
-- Reply: status serial grants...
-- Statuses: OK FINISHED (no such request) EXPIRED
-- Cost: O(log N), and one choice where a slot comes free. Works on a full server
-- Keeps: 1-10; its owner is told to poll: by a hint, and by its count of deliveries
local CHANNEL, SESSION, floor, seen, rid, target = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
--@include upkeep
--@include reply
--@include once
--@include withdraw
--@include reclaim

redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply_with_grants(OK) end

local request = read_request(target)
if not request then return reply_with_grants(FINISHED) end
local owner = string.sub(target, 1, -14)
if S.note then
  S.note('evicted', request.agent, 'id', target, 'state', request.state, 'token', request.token or '0', 'by', SESSION)
end
if request.state == 'W' then withdraw(request) else reclaim(request) end
leave_tombstone(target, owner)
local session = session_row(owner)
session.delivered, session.changed = session.delivered + 1, true
redis.call('PUBLISH', CHANNEL .. owner, 'gone')
leave_tombstone(rid)
return reply_with_grants(OK)
