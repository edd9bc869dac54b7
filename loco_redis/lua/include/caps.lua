-- Caps on concurrency. A capped agent that holds as many slots as it may is parked; a tenant's agents
-- stand in a line.
--@include loads
--@include lines

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
