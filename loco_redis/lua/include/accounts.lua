-- Money: what was spent, what is unsettled, what is reserved, by agent (`a<agent>`) and tenant
-- (`t<tenant>`). Rows are read once in a script, and written once, by `write` (upkeep.lua).
--@include terms

local DAY = 86400000000

-- The tenant that an agent belongs to, by its name.
local function tenant_of(agent)
  return string.match(agent, '^([%w_-]+)/.')
end

-- The number of the present window of a period, in UTC.
local function window_of(period)
  if period == '' then return 0 end
  if period ~= 'month' then return math.floor(NOW / (period == 'day' and DAY or period)) end
  local days = math.floor(NOW / DAY) + 719468 -- since 1 March of the year 0: leap days come last
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  day = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day + 2) / 153) + 2 -- January is 12 of the year before
  return (era * 400 + year) * 12 + month
end

-- The account as it stands in its present window; `period` nil keeps the one it has.
local function account_of(name, period)
  S.accounts = S.accounts or {}
  local a = S.accounts[name]
  if not a then
    local row = redis.call('HGET', K.accounts, name)
    if row then
      local spent, unsettled, reserved, over, window, span = string.match(row, '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(.*)$')
      a = { spent = spent + 0, unsettled = unsettled + 0, reserved = reserved + 0, over = over + 0, window = window + 0,
        period = span }
    else
      a = { spent = 0, unsettled = 0, reserved = 0, over = 0, period = period or '' }
      a.window = window_of(a.period)
    end
    S.accounts[name] = a
  end
  local span = period or a.period
  local window = window_of(span)
  if span ~= a.period or window > a.window then
    a.spent, a.unsettled, a.over, a.window, a.period = 0, 0, math.min(a.over, a.reserved), window, span
  end
  return a
end

-- The limit of an account, or nil; how it is enforced (r, a, d); its period.
local function limit_of(name)
  local subject = string.sub(name, 2)
  if string.sub(name, 1, 1) == 't' then
    local row = redis.call('HGET', K.rules, name)
    return row and tonumber(string.match(row, '^%d*|(%d*)|')), 'r', ''
  end
  local rule = redis.call('HMGET', K.rules, 'b', 'B' .. subject)
  local default, mode, period = string.match(rule[1] or '|r|', '^(%d*)|(%a)|(.*)$')
  return tonumber(rule[2] or default), mode, period
end

-- What goes beyond the limit without having been refused is on record.
local function record_over(name, a)
  local limit = limit_of(name)
  if limit then a.over = math.max(a.over, a.spent + a.unsettled + a.reserved - limit) end
end

-- Changes the accounts that `flags` names (a: the agent's, t: its tenant's) by these amounts. What was
-- checked against the limits (`is_checked`) cannot go beyond them.
local function post(agent, flags, reserved, spent, unsettled, is_checked)
  for flag in string.gmatch(flags, '[at]') do
    local name = flag .. (flag == 'a' and agent or tenant_of(agent))
    local a = account_of(name)
    a.reserved, a.spent, a.changed = a.reserved + reserved, math.max(a.spent + spent, 0), true
    a.unsettled = math.max(a.unsettled + unsettled, 0)
    if not is_checked and reserved + spent + unsettled > 0 then record_over(name, a) end
  end
end

-- A reservation ends: by what was really spent, or by nothing.
local function settle_terms(agent, terms, spent)
  local cost, _, flags = read_terms(terms)
  post(agent, flags, -cost, spent, 0)
end
