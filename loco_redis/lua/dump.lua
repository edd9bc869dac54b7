-- dump: every key as it stands, for tests and the invariant checker.
-- ARGV: channel session
-- Reply: status serial, then for each key: name type content (HGETALL, ZRANGE WITHSCORES, LRANGE, XRANGE, the string, or empty)
-- Statuses: OK
-- Cost: O(everything). Writes nothing
-- Keeps: all
local CHANNEL, SESSION = unpack(ARGV)
--@include status

local values = { OK, 0 }
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local content = {}
  if kind == 'hash' then
    content = redis.call('HGETALL', key)
  elseif kind == 'zset' then
    content = redis.call('ZRANGE', key, '0', '-1', 'WITHSCORES')
  elseif kind == 'stream' then
    content = redis.call('XRANGE', key, '-', '+')
  elseif kind == 'list' then
    content = redis.call('LRANGE', key, '0', '-1')
  elseif kind == 'string' then
    content = redis.call('GET', key)
  end
  values[#values + 1] = string.match(key, '([^:]*)$')
  values[#values + 1] = kind
  values[#values + 1] = content
end
return values
