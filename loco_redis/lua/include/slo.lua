-- The last waits over the whole fleet: `1` for one above the target, `0` else, the newest last.
--@include keys

local function record_wait(ticks)
  local target, window = string.match(redis.call('HGET', K.rules, 'o') or '', '^(%d+)|(%d+)|')
  if not target then return end
  local waits = (redis.call('HGET', K.accounts, 'o') or '') .. (ticks > target + 0 and '1' or '0')
  redis.call('HSET', K.accounts, 'o', string.sub(waits, -window))
end
