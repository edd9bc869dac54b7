-- heartbeat: keeps a session alive and tells what its client may have missed.
-- ARGV: channel session floor seen
-- Reply: status serial lease version delivered fence more (more 1: expired sessions are left to reap, call again)
-- Statuses: OK EXPIRED
-- Cost: O(log N). Works on a full server
-- Keeps: 1-10; an unknown session is not created
local CHANNEL, SESSION, floor, seen = unpack(ARGV)
--@include upkeep

write_when_full()
if not begin() then return { EXPIRED, 0 } end
if not admit(SESSION, tonumber(floor), tonumber(seen)) then return reply(EXPIRED) end
renew(SESSION)
grant_all()
return reply(OK, S.lease, S.version, session_row(SESSION).delivered, S.fence, reaping_left() and 1 or 0)
