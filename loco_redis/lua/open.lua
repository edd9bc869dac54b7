-- open: begins a session; the first one stores the configuration, a later one must agree with it.
-- ARGV: channel session seen info schema capacity alpha lease max_waiters (an empty value adopts what is stored)
-- Reply: status serial capacity alpha lease max_waiters version delivered; MISMATCH: field stored
-- Statuses: OK MISMATCH UNCONFIGURED (nothing stored and no capacity given)
-- Cost: O(log N)
-- Keeps: 1-10; a mismatch writes nothing
local CHANNEL, SESSION, seen, info, schema, capacity, alpha, lease, max_waiters = unpack(ARGV)
--@include upkeep
--@include renew

local fields = { 'schema', 'capacity', 'alpha', 'lease', 'max_waiters' }
local asked = { schema, capacity, alpha, lease, max_waiters }
local found = redis.call('HMGET', K.vars, unpack(fields))
for i, field in ipairs(fields) do
  if found[1] and asked[i] ~= '' and asked[i] ~= found[i] then return { MISMATCH, 0, field, found[i] } end
end

if not found[1] then
  if capacity == '' then return { UNCONFIGURED, 0 } end
  redis.call('HSET', K.vars, 'schema', schema, 'version', 1, 'capacity', capacity,
    'alpha', alpha == '' and '0.25' or alpha, 'lease', lease == '' and '10000000' or lease,
    'max_waiters', max_waiters == '' and '-1' or max_waiters, 'counters', '0|0|0|0|0|0|0|0|0|0|0|0|0')
end

begin()
if tonumber(seen) > S.fence then S.fence = tonumber(seen) end
sessions[SESSION] = session_row(SESSION) or { floor = 0, last = 0, tombs = 0, delivered = 0, info = info }
renew(SESSION)
return reply(OK, S.capacity, string.format('%.17g', S.alpha), S.lease, S.max_waiters, S.version,
  session_row(SESSION).delivered)
