-- open: begins a session; the first one stores the configuration, a later one must agree with it.
-- ARGV: channel session seen info schema capacity alpha lease max_waiters rpm rpm_burst tpm tpm_burst adaptive auto_tune (an empty value adopts what is stored)
-- Reply: status serial capacity alpha lease max_waiters version rpm rpm_burst tpm tpm_burst adaptive auto_tune born delivered; MISMATCH: field stored
-- Statuses: OK MISMATCH UNCONFIGURED (nothing stored and no capacity given)
-- Cost: O(log N)
-- Keeps: 1-10; a mismatch writes nothing
local CHANNEL, SESSION, seen, info, schema, capacity, alpha, lease, max_waiters, rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune = unpack(ARGV)
--@include upkeep
--@include renew
--@include config

local fields = { 'schema', 'capacity', 'alpha', 'lease', 'max_waiters', unpack(PACE) }
local asked = { schema, capacity, alpha, lease, max_waiters, rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune }
local found = redis.call('HMGET', K.vars, unpack(fields))
for i, field in ipairs(fields) do
  local stored = found[i] or '0'
  if found[1] and asked[i] ~= '' and asked[i] ~= stored then return { MISMATCH, 0, field, stored } end
end

if not found[1] then
  if capacity == '' then return { UNCONFIGURED, 0 } end
  redis.call('HSET', K.vars, 'schema', schema, 'born', int(NOW), 'version', 1, 'capacity', capacity,
    'alpha', alpha == '' and '0.25' or alpha, 'lease', lease == '' and '10000000' or lease,
    'max_waiters', max_waiters == '' and '-1' or max_waiters, 'counters', '0|0|0|0|0|0|0|0|0|0|0|0|0|')
end

begin()
if not found[1] then
  store_pace({ rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune })
  start_features()
end
if tonumber(seen) > S.fence then S.fence = tonumber(seen) end
sessions[SESSION] = session_row(SESSION) or { floor = 0, last = 0, tombs = 0, delivered = 0, info = info }
renew(SESSION)
return reply(OK, config(session_row(SESSION).delivered))
