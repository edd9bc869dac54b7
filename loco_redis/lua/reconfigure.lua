-- reconfigure: changes the configuration for the whole fleet, at once.
-- ARGV: channel session floor seen rid if_version capacity alpha max_waiters rpm rpm_burst tpm tpm_burst adaptive auto_tune events paused (an empty value keeps; if_version 0: any)
-- Reply: status serial capacity alpha lease max_waiters version rpm rpm_burst tpm tpm_burst adaptive auto_tune events paused born grants...
-- Statuses: OK CONFLICT (another version is stored) EXPIRED
-- Cost: O(log N), and a choice for each slot that comes free; O(N) when alpha begins to tune itself
-- Keeps: 1-10; lowering capacity evicts nobody
local CHANNEL, SESSION, floor, seen, rid, if_version, capacity, alpha, max_waiters, rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune, events, paused = unpack(ARGV)
--@include settings
check_call(floor, seen)
check_rid(rid, floor)
check(is_number(if_version, MOST_DEPTH), 'version')
check_settings({ capacity, rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune, events, paused }, alpha, max_waiters)
--@include upkeep
--@include reply
--@include once
--@include config

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply_with_grants(OK, config()) end
if if_version ~= '0' and tonumber(if_version) ~= S.version then return reply_with_grants(CONFLICT, config()) end

S.capacity = tonumber(capacity) or S.capacity
S.max_waiters = tonumber(max_waiters) or S.max_waiters
S.version = S.version + 1
if alpha ~= '' then
  S.alpha = tonumber(alpha)
  S.set_alpha = string.format('%.17g', S.alpha)
  if S.tuning then S.tuning.changed = true end
end
redis.call('HSET', K.vars, 'config', string.format('%d|%s|%d|%d|%d', S.capacity, S.set_alpha, S.lease, S.max_waiters,
  S.version))
store_pace({ rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune, events, paused })
start_features()
if S.note then
  local given = { 'capacity', capacity, 'alpha', alpha, 'max_waiters', max_waiters, 'rpm', rpm, 'rpm_burst', rpm_burst, 'tpm', tpm,
    'tpm_burst', tpm_burst, 'adaptive', adaptive, 'auto_tune', auto_tune, 'events', events, 'paused', paused }
  local changed = {}
  for i = 1, #given, 2 do
    if given[i + 1] ~= '' then
      changed[#changed + 1], changed[#changed + 2] = given[i], given[i + 1]
    end
  end
  S.note('reconfigured', nil, 'version', int(S.version), 'by', SESSION, unpack(changed))
end
leave_tombstone(rid)
return reply_with_grants(OK, config())
