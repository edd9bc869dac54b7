-- Registered agents of a tenant whose number is limited: counted in `accounts` under `n<tenant>`.
--@include accounts

local function most_of(tenant)
  return string.match(tenant and redis.call('HGET', K.rules, 't' .. tenant) or '', '^(%d+)|')
end

-- Counts a new agent; or returns the limit, if there are as many as there may be.
local function join(agent)
  local tenant = tenant_of(agent)
  local most = most_of(tenant)
  if not most then return end
  if (redis.call('HGET', K.accounts, 'n' .. tenant) or 0) + 0 >= most + 0 then return most end
  redis.call('HINCRBY', K.accounts, 'n' .. tenant, '1')
end

local function part(agent)
  local tenant = tenant_of(agent)
  if most_of(tenant) and redis.call('HINCRBY', K.accounts, 'n' .. tenant, '-1') == 0 then
    redis.call('HDEL', K.accounts, 'n' .. tenant)
  end
end
