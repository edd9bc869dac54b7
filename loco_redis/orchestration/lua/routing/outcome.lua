-- What an outcome changes: `learn` the mean latency; `open`, `close` the breaker; `count_error`: whether it is to open.
local GAIN = 0.3 -- of a new latency in the mean

local function mean() return (string.match(stored[2], '^%d+') or 0) + 0 end

local function learn(seen)
  local known = stored[2] and mean() or seen
  redis.call('HSET', STATE, backend .. '/latency', int(known + GAIN * (seen - known)) .. '|' .. int(now))
end

local function open(how_long)
  local health = int(generation + 1) .. '|' .. int(now + how_long) .. '|' .. int(how_long)
  redis.call('HSET', STATE, backend .. '/health', health)
  redis.call('HDEL', STATE, backend .. '/errors')
  return 'opened'
end

local function close()
  redis.call('HSET', STATE, backend .. '/health', int(generation + 1) .. '|0|0')
  return 'closed'
end

-- Keeps the times of the last errors, as many as open the breaker: it opens when all are inside the window.
local function count_error()
  local recent = {}
  for time in string.gmatch(stored[3] or '', '%d+') do
    if now - time < window + 0 then recent[#recent + 1] = time end
  end
  recent[#recent + 1] = int(now)
  redis.call('HSET', STATE, backend .. '/errors', table.concat(recent, ' '))
  return #recent >= errors + 0
end
