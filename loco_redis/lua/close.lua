-- close: ends a session: its requests are withdrawn, its leases reclaimed.
-- ARGV: channel session seen
-- Reply: status serial more (1: a part is done, call again)
-- Statuses: OK FINISHED (no such session) EXPIRED
-- Cost: O(what it owns, at most 32 a call). Works on a full server
-- Keeps: 1-10
local CHANNEL, SESSION, seen = unpack(ARGV)
--@include arguments
check_call('0', seen)
--@include upkeep
--@include reply
--@include end_session

redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
begin()
if not S then return reply(EXPIRED) end
if seen + 0 > S.fence then S.fence = seen + 0 end
if not session_row(SESSION) then return reply(FINISHED, 0) end
local _, gone = end_session(SESSION, UNITS)
return reply(OK, gone and 0 or 1)
