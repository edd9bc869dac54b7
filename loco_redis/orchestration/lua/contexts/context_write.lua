-- context_write: sets and removes values of a context, all or none, if its first key is as expected.
-- KEYS: values (hash: `=`..key -> version|JSON; `version`: the last; `bytes`: of all fields and entries)
--   done (zset: id of a write -> version, of the last minute)
-- ARGV: id (of the write; sent again it does nothing) ttl (ms; '' leaves it) condition ('', 'version' or
--   'value') expected (a version, or JSON; '' none) most_keys most_bytes, then key and JSON ('' removes) by turns
-- Reply: status figure (written: the version; unlike: 0; too many keys or bytes: how many there would be)
-- Versions are the server's time in us, or one more than the last: not used again after the context has expired.
-- Cost: O(values written)
local VALUES, DONE = unpack(KEYS)
local id, ttl, condition, expected, most_keys, most_bytes = unpack(ARGV, 1, 6)
local FIRST = 7
local WRITTEN, UNLIKE, MANY_KEYS, MANY_BYTES = 1, 0, -1, -2
local MOST_DONE, DONE_FOR = 10000, 60 * 1000

local before = redis.call('ZSCORE', DONE, id)
if before then return { WRITTEN, before + 0 } end

if condition ~= '' then
  local entry = redis.call('HGET', VALUES, '=' .. ARGV[FIRST]) or ''
  local version, value = string.match(entry, '^(%d+)|(.*)$')
  local found = condition == 'version' and (version or '0') or (value or '')
  if found ~= expected then return { UNLIKE, 0 } end
end

local now = redis.call('TIME')
local last, bytes = unpack(redis.call('HMGET', VALUES, 'version', 'bytes'))
local version = math.max((last or 0) + 1, now[1] * 1000000 + now[2])
local stamp = string.format('%d', version)

local keys = math.max(0, redis.call('HLEN', VALUES) - 2)
bytes = (bytes or 0) + 0
for at = FIRST, #ARGV, 2 do
  local field, value = '=' .. ARGV[at], ARGV[at + 1]
  local length = redis.call('HSTRLEN', VALUES, field)
  if length > 0 then keys, bytes = keys - 1, bytes - #field - length end
  if value ~= '' then keys, bytes = keys + 1, bytes + #field + #stamp + 1 + #value end
end
if keys > most_keys + 0 then return { MANY_KEYS, keys } end
if bytes > most_bytes + 0 then return { MANY_BYTES, bytes } end

for at = FIRST, #ARGV, 2 do
  local field, value = '=' .. ARGV[at], ARGV[at + 1]
  if value == '' then
    redis.call('HDEL', VALUES, field)
  else
    redis.call('HSET', VALUES, field, stamp .. '|' .. value)
  end
end
if keys == 0 then
  redis.call('DEL', VALUES)
else
  redis.call('HSET', VALUES, 'version', stamp, 'bytes', string.format('%d', bytes))
  if ttl ~= '' then redis.call('PEXPIRE', VALUES, ttl) end
end

redis.call('ZADD', DONE, stamp, id)
redis.call('ZREMRANGEBYSCORE', DONE, '-inf', string.format('%d', version - DONE_FOR * 1000))
redis.call('ZREMRANGEBYRANK', DONE, 0, -MOST_DONE - 1)
redis.call('PEXPIRE', DONE, DONE_FOR)
return { WRITTEN, version }
