-- Changing rules: what depends on them follows at once.
--@include accounts
--@include features
--@include loads
--@include request_row
--@include count_load

local LETTER = { b = 'b', B = 'b', c = 'c', r = 'p', R = 'p', a = 'p', s = 's', o = 'o' }

local function read_rules(changes)
  local rules, at = {}, 1
  while at <= #changes do
    local length, start = string.match(changes, '^(%d+)|()', at)
    local field = string.sub(changes, start, start + length - 1)
    length, start = string.match(changes, '^|?(%d+)|()', start + length)
    rules[field], at = string.sub(changes, start, start + length - 1), start + length
  end
  return rules
end

-- Does a tenant have anything queued, waiting or held?
local function is_busy(tenant)
  for _, agent in ipairs(redis.call('HKEYS', K.loads)) do
    if tenant_of(agent) == tenant then return true end
  end
  for _, rid in ipairs(redis.call('HVALS', K.holders)) do
    if tenant_of(read_request(rid).agent) == tenant then return true end
  end
  return false
end

-- The letters that a rule needs.
local function letters_of(field, value)
  local kind = string.sub(field, 1, 1)
  if kind ~= 't' then return LETTER[kind] end
  local most, ceiling, cap = string.match(value, '^(%d*)|(%d*)|(%d*)$')
  return (ceiling ~= '' and 'b' or '') .. (cap ~= '' and 'c' or '') .. (most ~= '' and 'p' or '')
end

local function set_features()
  local needed, rules = {}, redis.call('HGETALL', K.rules)
  for i = 1, #rules, 2 do
    for letter in string.gmatch(letters_of(rules[i], rules[i + 1]), '.') do needed[letter] = true end
  end
  for letter in string.gmatch('bcpso', '.') do
    local is_on = S.features and string.find(S.features, letter, 1, true) ~= nil or false
    if is_on ~= (needed[letter] or false) then set_feature(letter, needed[letter]) end
  end
  S.G = nil
  if S.features then
    --@include governance
  end
end

-- Registered agents and leases of tenants and capped agents, counted anew.
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

-- Takes an agent out of wherever the choice looks.
local function lift(load)
  if load.home == K.ready or load.home == K.index then
    redis.call('ZREM', K.index, index_member(load.place, load.was_q, load.was_tick, load.was_seq, load.agent))
  end
  if S.tuning then count_load(load.was_q, load.was_tick, -1) end
  load.home = nil
end

local function store_rules(rules)
  local budgets, places = false, false
  local competing = {}
  for field, value in pairs(rules) do
    local kind = string.sub(field, 1, 1)
    budgets = budgets or kind == 'b' or kind == 'B' or kind == 't'
    places = places or kind == 'c' or kind == 't' or kind == 's'
    if value ~= '' then redis.call('HSET', K.rules, field, value) else redis.call('HDEL', K.rules, field) end
    if kind == 'c' or kind == 't' then recount(field, value) end
    if kind == 't' and value == '' then
      redis.call('HDEL', K.accounts, field)
      for _, agent in ipairs(redis.call('HKEYS', K.agents)) do
        if tenant_of(agent) == string.sub(field, 2) then redis.call('HDEL', K.agents, agent) end
      end
    end
  end
  if places then
    for _, agent in ipairs(redis.call('HKEYS', K.loads)) do competing[#competing + 1] = load_of(agent) end
    for _, load in ipairs(competing) do lift(load) end
    for _, key in ipairs({ K.ready, K.parked, K.buckets }) do redis.call('DEL', key) end
    redis.call('ZREMRANGEBYLEX', K.index, '[!', '("')
  end
  set_features()
  for _, load in ipairs(competing) do store_load(load) end
  for _, name in ipairs(budgets and redis.call('HKEYS', K.accounts) or {}) do
    if string.find(name, '^[at]') then
      local limit, _, period = limit_of(name)
      local a = account_of(name, limit and period or nil)
      a.over, a.changed = 0, true
      record_over(name, a)
    end
  end
end
