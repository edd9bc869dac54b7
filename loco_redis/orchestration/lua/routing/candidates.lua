-- Which backends may be used now: reads ARGV from [10] on, six for each backend.
-- `closed`: those whose breaker is closed. `probing`: half open, with room for a probe. `resume`: when the next may be.
local FIELDS = { '/health', '/hold', '/last', '/load', '/latency' }
local HALF_LIFE = 30000000 -- of what is known of a latency: so a backend that was slow once is tried again
local closed, probing, resume = {}, {}, nil

local function latency_of(text)
  local mean, at = string.match(text or '', '^(%d+)|(%d+)$')
  return mean and mean * 0.5 ^ (math.max(now - at, 0) / HALF_LIFE)
end

local function look(backend, till)
  if till == 0 then
    closed[#closed + 1] = backend
  elseif till > now then
    resume = math.min(resume or till, till)
  elseif (redis.call('HGET', STATE, backend.name .. '/probes') or 0) + 0 < probes + 0 then
    backend.probe = true
    probing[#probing + 1] = backend
  end
end

local fields = {}
for i = 10, #ARGV, 6 do
  for _, field in ipairs(FIELDS) do fields[#fields + 1] = ARGV[i] .. field end
end
local stored = redis.call('HMGET', STATE, unpack(fields))
for i = 10, #ARGV, 6 do
  local name, capacity, weight, cost, draw, excluded = unpack(ARGV, i, i + 5)
  if excluded == '0' then
    local at = #FIELDS * (i - 10) / 6
    local generation, till = health_of(stored[at + 1])
    local load = (stored[at + 4] or 0) + 0
    look({
      name = name,
      weight = weight + 0,
      cost = cost + 0,
      draw = draw + 0,
      generation = generation,
      held = (stored[at + 2] or 0) + 0 > now,
      last = (stored[at + 3] or 0) + 0,
      share = load / capacity,
      latency = latency_of(stored[at + 5]),
    }, till)
  end
end

-- Without those that a provider has asked to leave alone, unless there are no others.
local function rested()
  local found = {}
  for _, backend in ipairs(closed) do
    if not backend.held then found[#found + 1] = backend end
  end
  return #found > 0 and found or closed
end

-- The one of the least value; of equals the one with the smaller share of its capacity in use, then the one whose
-- last turn is the longest ago.
local function least(list, value)
  local best, lowest
  for _, backend in ipairs(list) do
    local this = value(backend)
    if not best or this < lowest or (this == lowest and (backend.share < best.share
        or (backend.share == best.share and backend.last < best.last))) then
      best, lowest = backend, this
    end
  end
  return best
end

-- How long a request may take there, in flight and waiting; one that nobody has tried is taken for the quickest.
local function expected(list)
  local quickest = math.huge
  for _, backend in ipairs(list) do quickest = math.min(quickest, backend.latency or math.huge) end
  if quickest == math.huge then quickest = 1 end
  return function(backend) return (backend.latency or quickest) * (1 + backend.share) end
end
