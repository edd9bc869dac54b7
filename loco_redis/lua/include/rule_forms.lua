-- Reading changed rules (README.md, Rules): what has not the form of its kind would stop the scripts that read it.
--@include arguments

local FORMS = { b = '^%d*|[rad]|%w*$', B = '^%d+$', c = '^%d+$', t = '^%d*|%d*|%d*$', a = '', r = '^%d*|%d+$', R = '^%d+$',
  s = '^%d+|%d+$', o = '^%d+|%d+|[%d.e-]+|[%d.e-]+$' }

-- Field -> value of the client's text; an empty value removes.
local function read_rules(changes)
  local rules, at, new = {}, 1, 0
  while at <= #changes do
    local length, start = string.match(changes, '^(%d+)|()', at)
    check(length and #length <= 8, 'rules')
    local field = string.sub(changes, start, start + length - 1)
    length, start = string.match(changes, '^|?(%d+)|()', start + length)
    check(length and #length <= 8, 'rules')
    local value = string.sub(changes, start, start + length - 1)
    local form = FORMS[string.sub(field, 1, 1)]
    check(form and #field <= MOST_ID + 1 and #value == length + 0 and #value <= MOST_TEXT, 'rule')
    check(value == '' or string.find(value, form) and not string.find(value, '%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d'), 'rule')
    rules[field], at = value, start + length
    if value ~= '' and redis.call('HEXISTS', K.rules, field) == 0 then new = new + 1 end
  end
  check(new == 0 or redis.call('HLEN', K.rules) + new <= MOST_RULES, 'many rules')
  return rules
end
