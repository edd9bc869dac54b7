-- Which parts of governance the stored rules switch on (features.lua).
--@include features

local LETTER = { b = 'b', B = 'b', c = 'c', r = 'p', R = 'p', a = 'p', s = 's', o = 'o' }

local function letters_of(field, value)
  local kind = string.sub(field, 1, 1)
  if kind ~= 't' then return LETTER[kind] end
  local most, ceiling, cap = string.match(value, '^(%d*)|(%d*)|(%d*)$')
  return (ceiling ~= '' and 'b' or '') .. (cap ~= '' and 'c' or '') .. (most ~= '' and 'p' or '')
end

-- After these changes; only where something may have been switched off all rules are looked at.
local function follow_rules(changes)
  local needed, may_end = {}, false
  local function need(field, value)
    for letter in string.gmatch(letters_of(field, value), '.') do needed[letter] = true end
  end
  for field, value in pairs(changes) do
    may_end = may_end or value == '' or string.sub(field, 1, 1) == 't'
    if value ~= '' then need(field, value) end
  end
  local rules = may_end and redis.call('HGETALL', K.rules) or {}
  for i = 1, #rules, 2 do need(rules[i], rules[i + 1]) end
  for letter in string.gmatch('bcpso', '.') do
    local was_on = S.features and string.find(S.features, letter, 1, true) ~= nil or false
    if needed[letter] and not was_on or may_end and was_on and not needed[letter] then
      set_feature(letter, not was_on)
    end
  end
  S.G = nil
  if S.features then
    --@include governance
  end
end
