-- reconfigure: changes the configuration for the whole fleet, at once.
-- ARGV: channel session floor seen rid if_version capacity alpha max_waiters rpm rpm_burst tpm tpm_burst adaptive auto_tune (an empty value keeps; if_version 0: any)
-- Reply: status serial capacity alpha lease max_waiters version rpm rpm_burst tpm tpm_burst adaptive auto_tune born grants...
-- Statuses: OK CONFLICT (another version is stored) EXPIRED
-- Cost: O(log N), and a choice for each slot that comes free; O(N) when alpha begins to tune itself
-- Keeps: 1-10; lowering capacity evicts nobody
local CHANNEL, SESSION, floor, seen, rid, if_version, capacity, alpha, max_waiters, rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune = unpack(ARGV)
--@include upkeep
--@include once
--@include config

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply_with_grants(OK, config()) end
if if_version ~= '0' and tonumber(if_version) ~= S.version then return reply_with_grants(CONFLICT, config()) end

S.capacity = tonumber(capacity) or S.capacity
S.max_waiters = tonumber(max_waiters) or S.max_waiters
S.version = S.version + 1
redis.call('HSET', K.vars, 'capacity', int(S.capacity), 'max_waiters', int(S.max_waiters), 'version', int(S.version))
if alpha ~= '' then
  S.alpha = tonumber(alpha)
  redis.call('HSET', K.vars, 'alpha', string.format('%.17g', S.alpha))
  if S.tuning then S.tuning.changed = true end
end
store_pace({ rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune })
start_features()
leave_tombstone(rid)
return reply_with_grants(OK, config())
