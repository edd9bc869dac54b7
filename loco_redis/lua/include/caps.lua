-- Caps on concurrency. A capped agent that holds as many slots as it may is parked. Agents of a capped
-- tenant stand in the tenant's line, too (members of `index` that begin with `!`): only the front of a line is in `ready`, or in `parked`
-- while the tenant holds as many as it may; then its buckets are out of `buckets`, too. So
-- the choice never meets anybody who may not be granted, and a tenant at its cap costs the same
-- however many of its agents wait.
--@include accounts
--@include loads

local limits = {} -- by field of `rules`: the cap, or false

local function agent_cap(agent)
  local field = 'c' .. agent
  if limits[field] == nil then limits[field] = tonumber(redis.call('HGET', K.rules, field) or nil) or false end
  return limits[field]
end

local function tenant_cap(tenant)
  local field = 't' .. tenant
  if limits[field] == nil then
    local row = redis.call('HGET', K.rules, field)
    limits[field] = row and tonumber(string.match(row, '|(%d*)$')) or false
  end
  return limits[field]
end

-- The tenant of an agent, if that is capped.
local function line_of(agent)
  local tenant = tenant_of(agent)
  return tenant and tenant_cap(tenant) and tenant
end

local function is_full(field, cap)
  return (redis.call('HGET', K.accounts, field) or 0) + 0 >= cap
end

local function is_closed(tenant)
  return is_full('H' .. tenant, tenant_cap(tenant))
end

local function front(tenant)
  local member = redis.call('ZRANGEBYLEX', K.index, '[!' .. tenant .. '\0', '(!' .. tenant .. '\1', 'LIMIT', 0, 1)[1]
  if not member then return nil end
  return { seq = string.sub(member, #tenant + 3, #tenant + 18) + 0, agent = string.sub(member, #tenant + 19) }
end

-- An agent leaves the line (its seq there), or enters it, or both.
local function shift(tenant, agent, leaves, enters)
  local zone, before = is_closed(tenant) and K.parked or K.ready, front(tenant)
  local member = '!' .. tenant .. '\0%016d'
  if leaves then redis.call('ZREM', K.index, string.format(member, leaves) .. agent) end
  if enters then redis.call('ZADD', K.index, 0, string.format(member, enters) .. agent) end
  local after = front(tenant)
  if before and (not after or before.agent ~= after.agent) then redis.call('ZREM', zone, before.agent) end
  if after then redis.call('ZADD', zone, after.seq, after.agent) end
end

-- The tenant has reached its cap, or is below it again: its front and its buckets follow.
local function turn(tenant, closed)
  local first = front(tenant)
  if not first then return end
  redis.call('ZREM', closed and K.ready or K.parked, first.agent)
  redis.call('ZADD', closed and K.parked or K.ready, first.seq, first.agent)
  local from, prefix = '[:' .. tenant .. ':', #tenant + 9
  while true do
    local member = redis.call('ZRANGEBYLEX', K.index, from, '(:' .. tenant .. ';', 'LIMIT', 0, 1)[1]
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

local function add_to(field, delta)
  local n = redis.call('HINCRBY', K.accounts, field, delta)
  if n == 0 then redis.call('HDEL', K.accounts, field) end
  return n
end

-- A lease of the agent begins (1) or has ended (-1).
local function count_lease(agent, delta)
  if agent_cap(agent) then
    add_to('h' .. agent, delta)
    local load = load_of(agent)
    if load.bound + load.durable > 0 then store_load(load) end
  end
  local tenant = line_of(agent)
  if tenant then
    local held, cap = add_to('H' .. tenant, delta), tenant_cap(tenant)
    if held >= cap ~= (held - delta >= cap) then turn(tenant, held >= cap) end
  end
end

-- May the agent have a slot, as far as caps go?
local function is_capped(agent)
  local cap, tenant = agent_cap(agent), line_of(agent)
  return cap and is_full('h' .. agent, cap) or tenant and is_closed(tenant) or false
end
