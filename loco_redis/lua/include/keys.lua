-- `K.` and a name is the key of that name. The loader (_scripts.py) writes its number in KEYS instead, as `_keys.py`
-- lists them: a table of all names would have to be made anew at each call.
local KEYS = KEYS

-- A whole number as Redis must see it: newer servers pass 100000000 on as `1e+8`.
local function int(number)
  return string.format('%d', number)
end
