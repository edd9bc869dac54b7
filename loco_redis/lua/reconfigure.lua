-- reconfigure: changes capacity, alpha or max_waiters for the whole fleet, at once.
-- ARGV: channel session floor seen rid if_version capacity alpha max_waiters (an empty value keeps; if_version 0: any)
-- Reply: status serial capacity alpha lease max_waiters version grants...
-- Statuses: OK CONFLICT (another version is stored) EXPIRED
-- Cost: O(log N), and a choice for each slot that comes free
-- Keeps: 1-10; lowering capacity evicts nobody
local CHANNEL, SESSION, floor, seen, rid, if_version, capacity, alpha, max_waiters = unpack(ARGV)
--@include upkeep
--@include once

local function reply_config(status)
  return reply_with_grants(status, S.capacity, string.format('%.17g', S.alpha), S.lease, S.max_waiters, S.version)
end

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply_config(OK) end
if if_version ~= '0' and tonumber(if_version) ~= S.version then return reply_config(CONFLICT) end

S.capacity = tonumber(capacity) or S.capacity
S.alpha = tonumber(alpha) or S.alpha
S.max_waiters = tonumber(max_waiters) or S.max_waiters
S.version = S.version + 1
redis.call('HSET', K.vars, 'capacity', int(S.capacity), 'alpha', string.format('%.17g', S.alpha), 'max_waiters',
  int(S.max_waiters), 'version', int(S.version))
leave_tombstone(rid)
return reply_config(OK)
