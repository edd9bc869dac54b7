-- reap: the upkeep alone: ends expired sessions and grants what they held.
-- ARGV: channel session (empty: no session is needed)
-- Reply: status serial reaped more (more 1: call again)
-- Statuses: OK EXPIRED
-- Cost: O(what expired, at most 100 requests a call). Works on a full server
-- Keeps: 1-10
local CHANNEL, SESSION = unpack(ARGV)
--@include upkeep

write_when_full()
if not begin() then return { EXPIRED, 0 } end
return reply(OK, reaped, reaping_left() and 1 or 0)
