-- close: ends a session: its requests are withdrawn, its leases reclaimed.
-- ARGV: channel session seen
-- Reply: status serial more (1: a part is done, call again)
-- Statuses: OK FINISHED (no such session) EXPIRED
-- Cost: O(what it owns, at most 1,000 a call). Works on a full server
-- Keeps: 1-10
local CHANNEL, SESSION, seen = unpack(ARGV)
--@include upkeep
--@include end_session

local UNITS = 1000

write_when_full()
if not begin() then return { EXPIRED, 0 } end
if tonumber(seen) > S.fence then S.fence = tonumber(seen) end
if not redis.call('ZSCORE', K.deadlines, SESSION) then return reply(FINISHED, 0) end
local _, gone = end_session(SESSION, UNITS)
return reply(OK, gone and 0 or 1)
