-- What L(i) is made of: the maxima over the competing agents.
--@include loads

-- a, b of the score a * Q + b * D; max Q; the candidate with the oldest head. `newcomer` is the Q of an
-- agent that competes without being stored yet (0: none).
local function coefficients(newcomer)
  local deepest = redis.call('ZREVRANGE', K.depth, '0', '0', 'WITHSCORES')
  local ready = redis.call('ZRANGE', K.ready, '0', '0', 'WITHSCORES')
  local parked = redis.call('ZRANGE', K.parked, '0', '0', 'WITHSCORES')
  local first = ready[1]
  if parked[1] and (not first or parked[2] + 0 < ready[2] + 0) then first = parked[1] end
  local max_q = math.max(newcomer, deepest[2] or 0)
  local max_d = first and S.tick - load_of(first).tick or 0
  return S.alpha / max_q, max_d > 0 and (1 - S.alpha) / max_d or 0, max_q, ready[1]
end
