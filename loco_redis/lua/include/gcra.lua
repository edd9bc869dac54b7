-- The generic cell rate algorithm: `at` is the moment (us) at which a bucket of `burst` will be full
-- again, `limit` what it takes in during `period` us. Returns that moment after taking `amount`, and how
-- long to wait before it may be taken (0: now); more than the whole bucket waits until it is full.
local function gcra(at, now, amount, burst, limit, period)
  local taken, room = math.floor(amount * period / limit), math.ceil(burst * period / limit)
  local full = math.max(at, now)
  return full + taken, math.max(full + taken - now - math.max(room, taken), 0)
end
