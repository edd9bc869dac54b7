-- reap: the upkeep alone: ends expired sessions and grants what they held.
-- ARGV: channel session (may be empty: no live one is needed)
-- Reply: status serial reaped more wake (more 1: call again; wake: call again in so many us)
-- Statuses: OK EXPIRED
-- Cost: O(what expired, at most 32 requests a call). Works on a full server
-- Keeps: 1-10
local CHANNEL, SESSION = unpack(ARGV)
--@include upkeep
--@include reply
--@include wake

redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
begin()
if not S then return reply(EXPIRED) end
grant_all()
return reply(OK, reaped, S.due > 0 and S.due <= S.vnow and 1 or 0, wake())
