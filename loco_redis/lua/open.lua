-- open: begins a session; the first one stores the configuration, a later one must agree with it.
-- ARGV: channel session seen info schema capacity alpha lease max_waiters rpm rpm_burst tpm tpm_burst adaptive auto_tune events paused (an empty value adopts what is stored)
-- Reply: status serial capacity alpha lease max_waiters version rpm rpm_burst tpm tpm_burst adaptive auto_tune events paused born delivered; MISMATCH: field stored; REFUSED: what there are too many of, the most
-- Statuses: OK MISMATCH REFUSED UNCONFIGURED (nothing stored and no capacity given)
-- Cost: O(log N)
-- Keeps: 1-10; a mismatch or refusal writes nothing
local CHANNEL, SESSION, seen, info, schema, capacity, alpha, lease, max_waiters, rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune, events, paused = unpack(ARGV)
--@include settings
check_call('0', seen)
check(#SESSION <= 32 and string.find(SESSION, '^[%l%d]+$') and #info <= MOST_ID and is_number(schema, 1000), 'session')
check_settings({ capacity, lease, rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune, events, paused }, alpha, max_waiters)
--@include upkeep
--@include reply
--@include renew
--@include config

-- What another version has stored may not even be readable.
local stored_schema = redis.call('HGET', K.vars, 'schema')
if stored_schema and stored_schema ~= schema then return { MISMATCH, 0, 'schema', stored_schema } end
read_state()
if S then
  local known = { int(S.capacity), S.set_alpha, int(S.lease), int(S.max_waiters), unpack(redis.call('HMGET', K.vars, unpack(PACE))) }
  local asked = { capacity, alpha, lease, max_waiters, rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune, events, paused }
  for i, field in ipairs({ 'capacity', 'alpha', 'lease', 'max_waiters', unpack(PACE) }) do
    local value = known[i] or '0'
    if asked[i] ~= '' and asked[i] ~= value then return { MISMATCH, 0, field, value } end
  end
  if redis.call('HEXISTS', K.sessions, SESSION) == 0 and redis.call('ZCARD', K.deadlines) >= MOST_SESSIONS then
    return { REFUSED, 0, 'sessions', MOST_SESSIONS }
  end
else
  if capacity == '' then return { UNCONFIGURED, 0 } end
  -- What every script reads comes first: Redis looks through a small hash from its beginning.
  redis.call('HSET', K.vars, 'counters', '0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|', 'config', string.format('%s|%s|%s|%s|1', capacity,
    alpha == '' and '0.25' or alpha, lease == '' and '10000000' or lease, max_waiters == '' and '-1' or max_waiters),
    'schema', schema, 'born', int(NOW))
end
local is_first = not S

begin()
if is_first then
  store_pace({ rpm, rpm_burst, tpm, tpm_burst, adaptive, auto_tune, events, paused })
  start_features()
end
if tonumber(seen) > S.fence then S.fence = tonumber(seen) end
sessions[SESSION] = session_row(SESSION) or { floor = 0, last = 0, tombs = 0, delivered = 0, info = info }
renew(SESSION)
return reply(OK, config(session_row(SESSION).delivered))
