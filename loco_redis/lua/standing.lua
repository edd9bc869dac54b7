-- standing: what governance says of agents and tenants now.
-- ARGV: channel session scopes (each `a<agent>` or `t<tenant>` as `length|scope`; empty: all that have an account)
-- Reply: status serial [scope limit mode period spent unsettled reserved over cap held rate rate_period rate_wait]... (empty: none)
-- Statuses: OK UNCONFIGURED
-- Cost: O(scopes asked for, at most 10,000). Writes nothing
-- Keeps: all
local CHANNEL, SESSION, scopes = unpack(ARGV)
--@include status
--@include now
--@include state
--@include gcra

local MOST = 10000
--@include accounts

local function standing(scope)
  local kind, name = string.sub(scope, 1, 1), string.sub(scope, 2)
  local limit, mode, period = limit_of(scope)
  local a = account_of(scope, limit and period or nil)
  local cap, held, rate, rate_period, wait = '', '0', '', '', 0
  if kind == 't' then
    cap = string.match(redis.call('HGET', K.rules, scope) or '', '|(%d*)$') or ''
    held = redis.call('HGET', K.accounts, 'H' .. name) or '0'
  else
    cap = redis.call('HGET', K.rules, 'c' .. name) or ''
    held = redis.call('HGET', K.accounts, 'h' .. name) or '0'
    rate, rate_period = string.match(redis.call('HGET', K.rules, 'r') or '|0', '^(%d*)|(%d+)$')
    rate = redis.call('HGET', K.rules, 'R' .. name) or rate
    if rate ~= '' then wait = math.max((redis.call('HGET', K.accounts, 'r' .. name) or 0) - NOW, 0) end
  end
  return { scope, limit and int(limit) or '', mode, period, a.spent, a.unsettled, a.reserved, a.over, cap, held, rate,
    rate_period, wait }
end

read_state()
if not S then return { UNCONFIGURED, 0 } end
local values, at = { OK, S.serial }, 1
while at <= #scopes do
  local length, start = string.match(scopes, '^(%d+)|()', at)
  values[#values + 1] = standing(string.sub(scopes, start, start + length - 1))
  at = start + length
end
if scopes == '' then
  for _, scope in ipairs(redis.call('HKEYS', K.accounts)) do
    if string.find(scope, '^[at]') and #values < MOST then values[#values + 1] = standing(scope) end
  end
end
return values
