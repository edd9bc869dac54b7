-- Every key of a scheduler, in the order of `_keys.py`; the table in README.md says what each holds.
local K = { vars = KEYS[1], sessions = KEYS[2], deadlines = KEYS[3], requests = KEYS[4], owned = KEYS[5],
  tombstones = KEYS[6], tasks = KEYS[7], bodies = KEYS[8], queue = KEYS[9], loads = KEYS[10], agents = KEYS[11],
  depth = KEYS[12], ready = KEYS[13], parked = KEYS[14], index = KEYS[15], buckets = KEYS[16], slots = KEYS[17],
  holders = KEYS[18], dead = KEYS[19], costs = KEYS[20], unsettled = KEYS[21], rules = KEYS[22],
  accounts = KEYS[23], lines = KEYS[24], tallies = KEYS[25], alerts = KEYS[26] }

-- A whole number as Redis must see it: newer servers pass 100000000 on as `1e+8`.
local function int(number)
  return string.format('%d', number)
end
