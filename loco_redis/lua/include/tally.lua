-- Figures for readers: counted by dimension and value in `tallies`, where no field is ever 0. Beyond
-- 10,000 values of a dimension (50,000 cells of `wait`) the rest is counted under `__other__`;
-- `#<dimension>` is the number of values.
--@include keys

-- A field is new: it may be one too many.
local function bound(dimension, value, amount, most, other)
  if redis.call('HINCRBY', K.tallies, '#' .. dimension, '1') <= most or value == other then return end
  redis.call('HDEL', K.tallies, dimension .. '\0' .. value)
  redis.call('HINCRBY', K.tallies, '#' .. dimension, '-1')
  if redis.call('HINCRBY', K.tallies, dimension .. '\0' .. other, int(amount)) == amount then
    redis.call('HINCRBY', K.tallies, '#' .. dimension, '1')
  end
end

local function tally(dimension, value, amount)
  if amount == 0 then return end
  local total = redis.call('HINCRBY', K.tallies, dimension .. '\0' .. value, int(amount))
  if total == 0 then
    redis.call('HDEL', K.tallies, dimension .. '\0' .. value)
    redis.call('HINCRBY', K.tallies, '#' .. dimension, '-1')
  elseif total == amount then
    bound(dimension, value, amount, 10000, '__other__')
  end
end
