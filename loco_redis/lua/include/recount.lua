-- What rules count: the registered agents of a tenant, the leases of a capped agent or tenant.
--@include accounts
--@include request_row

local function recount(field, value)
  local kind, name = string.sub(field, 1, 1), string.sub(field, 2)
  local most, cap = '', kind == 'c' and value or ''
  if kind == 't' then most, cap = string.match(value ~= '' and value or '||', '^(%d*)|%d*|(%d*)$') end
  local members, held = 0, 0
  if most ~= '' then
    for _, agent in ipairs(redis.call('HKEYS', K.agents)) do
      if tenant_of(agent) == name then members = members + 1 end
    end
  end
  for _, rid in ipairs(cap ~= '' and redis.call('HVALS', K.holders) or {}) do
    local request = read_request(rid) -- nil: ended in this very script
    if request and (kind == 'c' and request.agent or tenant_of(request.agent)) == name then held = held + 1 end
  end
  local function keep(count, n)
    if n > 0 then redis.call('HSET', K.accounts, count, n) else redis.call('HDEL', K.accounts, count) end
  end
  if kind == 't' then keep('n' .. name, members) end
  keep((kind == 'c' and 'h' or 'H') .. name, held)
end
