-- Whether a task may enter its agent's queue, and what it reserves there (README.md, Admission).
--@include accounts
--@include gcra

-- Decides only. `given` is `cost:tokens:labels` of the client or empty. Returns a plan for `admit`; or
-- nil and the refusal: policy, and what its error names.
local function decide(agent, weight, given)
  local cost, tokens, labels = string.match(given, '^(%d*):(%d*):(.*)$')
  local tenant = tenant_of(agent)
  local plan = { agent = agent, cost = tonumber(cost) or weight, tokens = tonumber(tokens) or 0, flags = '',
    is_plain = given == '' }
  cost = plan.cost
  if not string.find(S.features, '[bcp]') then return plan end
  local rule = redis.call('HMGET', K.rules, 'b', 'B' .. agent, 'r', 'R' .. agent, 'a' .. agent, 't' .. (tenant or ''))

  if rule[5] then
    local allowed = '\31' .. rule[5] .. '\31'
    for label in string.gmatch(labels or '', '[^\31]+') do
      if not string.find(allowed, '\31' .. label .. '\31', 1, true) then return nil, { 'access', label } end
    end
  end

  local default_rate, period = string.match(rule[3] or '|1', '^(%d*)|(%d+)$')
  local rate = tonumber(rule[4] or default_rate)
  if rate then
    local burst, wait = math.max(rate, 1000), nil
    local empty = NOW + math.ceil(burst * period / rate) -- later only after a step back of the clock
    local full_at = math.min((redis.call('HGET', K.accounts, 'r' .. agent) or 0) + 0, empty)
    plan.rate_at, wait = gcra(full_at, NOW, 1000, burst, rate, period + 0)
    if wait > 0 then return nil, { 'rate', rate, period, wait } end
  end

  if tenant and rule[6] then
    local most, ceiling = string.match(rule[6], '^(%d*)|(%d*)|')
    if most ~= '' and redis.call('HEXISTS', K.agents, agent) == 0 then
      if (redis.call('HGET', K.accounts, 'n' .. tenant) or 0) + 0 >= most + 0 then return nil, { 'tenant_agents', most } end
      plan.joins = tenant
    end
    if ceiling ~= '' then
      local account = account_of('t' .. tenant, '')
      local used = account.spent + account.unsettled + account.reserved
      if used + cost > ceiling + 0 then return nil, { 'tenant', ceiling, used, cost } end
      plan.flags = 't'
    end
  end

  local default, mode, window = string.match(rule[1] or '|r|', '^(%d*)|(%a)|(.*)$')
  local limit = tonumber(rule[2] or default)
  if limit then
    local account = account_of('a' .. agent, window)
    local used = account.spent + account.unsettled + account.reserved
    if used + cost <= limit then
      plan.flags = plan.flags .. 'a'
    elseif mode == 'r' then
      return nil, { 'budget', limit, used, cost }
    else
      plan.flags = plan.flags .. 'a' .. (mode == 'a' and 'e' or 'd')
      plan.alert = mode == 'a' and string.format('%d|%d|%d|%d|', NOW, limit, used, cost) .. agent
    end
  end
  return plan
end

local MOST_ALERTS = 1000

-- Carries a plan out; returns the terms of the request or task.
local function admit(plan)
  local agent = plan.agent
  if plan.rate_at then redis.call('HSET', K.accounts, 'r' .. agent, int(plan.rate_at)) end
  if plan.joins then
    redis.call('HSET', K.agents, agent, '')
    redis.call('HINCRBY', K.accounts, 'n' .. plan.joins, '1')
  end
  post(agent, plan.flags, plan.cost, 0, 0, not string.find(plan.flags, '[de]'))
  if plan.alert then
    redis.call('LPUSH', K.alerts, plan.alert)
    redis.call('LTRIM', K.alerts, '0', MOST_ALERTS - 1)
  end
  return plan.is_plain and plan.flags == '' and '' or write_terms(plan.cost, plan.tokens, plan.flags)
end
