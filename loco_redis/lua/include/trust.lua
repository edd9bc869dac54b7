-- Trust: 0 to 1000 in thousandths, 500 where nothing is known, to which it returns by half in a
-- half-life (within one in a straight line, so that every server computes the same).
--@include loads

local SIGNALS = { success = 15000, fast = 10000, late = -25000, error = -50000, timeout = -80000 }
local BASE, TOP_TRUST, MOST_TRUSTED = 500000, 1000000, 10000

local function trust_rule()
  local target, half_life = string.match(redis.call('HGET', K.rules, 's') or '', '^(%d+)|(%d+)$')
  return tonumber(target), tonumber(half_life)
end

-- Score, and the counts of success, fast, late, error, timeout.
local function trust_of(agent, half_life)
  local row = redis.call('HGET', K.accounts, 's' .. agent)
  if not row then return BASE, { 0, 0, 0, 0, 0 }, false end
  local score, at, a, b, c, d, e = string.match(row, '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
  local age = math.max(NOW - at, 0) / half_life
  local halves = math.floor(age)
  local left = halves > 40 and 0 or math.ldexp(1 - (age - halves) / 2, -halves)
  score = BASE + (score - BASE) * left
  return score < BASE and math.ceil(score) or math.floor(score), { a + 0, b + 0, c + 0, d + 0, e + 0 }, true
end

-- In percent of L(i): 80 to 120.
local function multiplier(agent)
  local _, half_life = trust_rule()
  return half_life and 80 + math.floor(trust_of(agent, half_life) * 40 / TOP_TRUST + 0.5) or 100
end

-- A signal (success, error, timeout) after a wait of so many ticks.
local function judge(agent, signal, waited)
  local target, half_life = trust_rule()
  if not target then return end
  local score, counts, known = trust_of(agent, half_life)
  if not known then
    if (redis.call('HGET', K.accounts, '#s') or 0) + 0 >= MOST_TRUSTED then return end
    redis.call('HINCRBY', K.accounts, '#s', '1')
  end
  local seen = { signal }
  if signal == 'success' and waited * 2 <= target then seen[2] = 'fast' end
  if signal == 'success' and waited > target then seen[2] = 'late' end
  for _, name in ipairs(seen) do
    score = math.min(math.max(score + SIGNALS[name], 0), TOP_TRUST)
    for at, known_name in ipairs({ 'success', 'fast', 'late', 'error', 'timeout' }) do
      if name == known_name then counts[at] = counts[at] + 1 end
    end
  end
  redis.call('HSET', K.accounts, 's' .. agent, string.format('%d|%d|%d|%d|%d|%d|%d', score, NOW, unpack(counts)))
  local load = load_of(agent)
  if load.bound + load.durable > 0 then store_load(load) end
end
