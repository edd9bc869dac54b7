-- The sums over the competing agents that `adapt_alpha` (tuning.lua) needs.
local function count_load(q, tick, sign)
  local t, age = S.tuning, S.tick - tick
  t.competing, t.total, t.ages, t.squares = t.competing + sign, t.total + sign * q, t.ages + sign * age,
    t.squares + sign * age * age
  t.changed = true
end
