-- Lines: agents of a capped tenant stand in its line, too (members of `index` that begin with `!`): only
-- the front of a line is in `ready`, or in `parked` while the tenant holds as many as it may; then its
-- buckets are out of `buckets`, too. So the choice never meets anybody who may not be granted, and a tenant
-- at its cap costs the same however many of its agents wait.
--@include cap_limits

local function front(tenant)
  local member = redis.call('ZRANGEBYLEX', K.index, '[!' .. tenant .. '\0', '(!' .. tenant .. '\1', 'LIMIT', '0', '1')[1]
  if not member then return nil end
  return { seq = string.sub(member, #tenant + 3, #tenant + 18) + 0, agent = string.sub(member, #tenant + 19) }
end

-- An agent leaves the line (its seq there), or enters it, or both.
local function shift(tenant, agent, leaves, enters)
  local zone, before = is_closed(tenant) and K.parked or K.ready, front(tenant)
  local member = '!' .. tenant .. '\0%016d'
  if leaves then redis.call('ZREM', K.index, string.format(member, leaves) .. agent) end
  if enters then redis.call('ZADD', K.index, '0', string.format(member, enters) .. agent) end
  local after = front(tenant)
  if before and (not after or before.agent ~= after.agent) then redis.call('ZREM', zone, before.agent) end
  if after then redis.call('ZADD', zone, after.seq, after.agent) end
end

-- A bucket of a line that is empty goes at once: when the tenant reaches its cap, `turn` looks for those that
-- have members.
local function sweep(bucket)
  if not redis.call('ZRANGEBYLEX', K.index, '[' .. bucket, '(' .. bucket .. '~', 'LIMIT', '0', '1')[1] then
    redis.call('ZREM', K.buckets, bucket)
  end
end

-- The tenant has reached its cap, or is below it again: its front and its buckets follow.
local function turn(tenant, closed)
  local first = front(tenant)
  if not first then return end
  redis.call('ZREM', closed and K.ready or K.parked, first.agent)
  redis.call('ZADD', closed and K.parked or K.ready, first.seq, first.agent)
  local from, prefix = '[:' .. tenant .. ':', #tenant + 9
  while true do
    local member = redis.call('ZRANGEBYLEX', K.index, from, '(:' .. tenant .. ';', 'LIMIT', '0', '1')[1]
    if not member then return end
    local bucket = string.sub(member, 1, prefix)
    if closed then
      redis.call('ZREM', K.buckets, bucket)
    else
      redis.call('ZADD', K.buckets, string.sub(member, prefix + 1, prefix + 12), bucket)
      indexed = true
    end
    from = '[' .. bucket .. '~'
  end
end
