-- How many slots an agent or a tenant may hold, and whether it holds as many.
--@include accounts

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
