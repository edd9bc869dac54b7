-- The keys, the clock, and the reservations ("flights") of requests. All amounts of money are in millionths.
-- STATE: hash; of a backend `<name>/load` (flights), `/probes` (those of them that are probes), `/health`
--   (generation|until|open_for; until 0: closed), `/hold` (until), `/latency` (mean|when), `/last` (turn of its last
--   choice), `/turn` (weighted), `/errors` (times), `/picked`, `/ok`, `/failed`, `/cost`; and `turns`, `spent`,
--   `reserved`, `period`.
-- FLIGHTS: hash; id -> backend|probe|generation|cost|low. EXPIRY: zset; id -> when it counts as dead.
local STATE, FLIGHTS, EXPIRY = KEYS[1], KEYS[2], KEYS[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function int(number) return string.format('%.0f', number) end

local function health_of(text)
  if not text then return 0, 0, 0 end
  local generation, till, open_for = string.match(text, '^(%d+)|(%d+)|(%d+)$')
  return generation + 0, till + 0, open_for + 0
end

local function spend(backend, cost)
  if cost > 0 then
    redis.call('HINCRBY', STATE, 'spent', int(cost))
    redis.call('HINCRBY', STATE, backend .. '/cost', int(cost))
  end
end

-- End a reservation; its backend, whether it was a probe, its breaker's generation, what it had reserved.
local function land(id, row)
  local backend, probe, generation, cost = string.match(row, '^([^|]+)|(%d)|(%d+)|(%d+)|%d$')
  redis.call('HDEL', FLIGHTS, id)
  redis.call('ZREM', EXPIRY, id)
  redis.call('HINCRBY', STATE, backend .. '/load', '-1')
  if probe == '1' then redis.call('HINCRBY', STATE, backend .. '/probes', '-1') end
  if cost + 0 > 0 then redis.call('HINCRBY', STATE, 'reserved', '-' .. cost) end
  return backend, probe == '1', generation + 0, cost + 0
end

-- Those of dead processes. Their cost counts as spent: the provider may have sent its bill.
local function reap()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', int(now), 'LIMIT', '0', '100')) do
    local row = redis.call('HGET', FLIGHTS, id)
    local backend, _, _, cost = land(id, row)
    spend(backend, cost)
  end
end
