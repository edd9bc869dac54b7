-- heartbeat: keeps a session alive and tells what its client may have missed.
-- ARGV: channel session floor seen
-- Reply: status serial lease version delivered fence more wake (more 1: reaping is left, call again; wake: look again in so many us)
-- Statuses: OK EXPIRED
-- Cost: O(log N). Works on a full server
-- Keeps: 1-10; an unknown session is not created
local CHANNEL, SESSION, floor, seen = unpack(ARGV)
--@include arguments
check_call(floor, seen)
--@include upkeep
--@include reply
--@include renew
--@include wake

redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
local session = enter(floor, seen)
if not session then return reply(EXPIRED) end
renew(SESSION)
grant_all()
return reply(OK, S.lease, S.version, session.delivered, S.fence, S.due <= S.vnow and 1 or 0, wake())
