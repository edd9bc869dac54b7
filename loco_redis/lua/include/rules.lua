-- Changing rules: what depends on them follows at once.
--@include accounts
--@include loads
--@include request_row
--@include count_load
--@include recount
--@include rule_letters

-- Takes an agent out of wherever the choice looks.
local function lift(load)
  if load.home == K.ready or load.home == K.index then
    redis.call('ZREM', K.index, index_member(load.place, load.was_q, load.was_tick, load.was_seq, load.agent))
  end
  if S.tuning then count_load(load.was_q, load.was_tick, -1) end
  load.home = nil
end

-- All who compete, lifted: the lines of tenants, or everybody's trust, are to be made anew.
local function lift_all()
  local competing = {}
  for _, agent in ipairs(redis.call('HKEYS', K.loads)) do competing[#competing + 1] = load_of(agent) end
  for _, load in ipairs(competing) do lift(load) end
  for _, key in ipairs({ K.ready, K.parked, K.buckets }) do redis.call('DEL', key) end
  redis.call('ZREMRANGEBYLEX', K.index, '[!', '("')
  return competing
end

-- What an account is beyond its limit, which may be another now.
local function limit_anew(name)
  local limit, _, period = limit_of(name)
  local a = account_of(name, limit and period or nil)
  a.over, a.changed = 0, true
  record_over(name, a)
end

local function store_rules(rules)
  local placed, limited = {}, {}
  for field in pairs(rules) do
    if not placed.all and string.find(field, '^[ts]') then placed = { all = lift_all() } end
  end
  for field, value in pairs(rules) do
    local kind, name = string.sub(field, 1, 1), string.sub(field, 2)
    if value ~= '' then redis.call('HSET', K.rules, field, value) else redis.call('HDEL', K.rules, field) end
    if kind == 'c' or kind == 't' then recount(field, value) end
    if kind == 'c' and not placed.all then placed[#placed + 1] = name end
    if kind == 'B' or kind == 't' and value ~= '' then limited[#limited + 1] = (kind == 'B' and 'a' or 't') .. name end
    if kind == 't' and value == '' then
      redis.call('HDEL', K.accounts, field)
      for _, agent in ipairs(redis.call('HKEYS', K.agents)) do
        if tenant_of(agent) == name then redis.call('HDEL', K.agents, agent) end
      end
    end
  end
  follow_rules(rules)
  for _, load in ipairs(placed.all or {}) do store_load(load) end
  for _, agent in ipairs(placed) do
    local load = load_of(agent)
    if load.bound + load.durable > 0 then store_load(load) end
  end
  if rules.b then
    for _, name in ipairs(redis.call('HKEYS', K.accounts)) do
      if string.find(name, '^a') then limited[#limited + 1] = name end
    end
  end
  for _, name in ipairs(limited) do limit_anew(name) end
end
