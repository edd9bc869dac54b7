-- A bound request that finds a free slot, and so no candidate before it, is the winner: it need not
-- enter the queue to leave it at once. Its score is what the formula gives while it competes.
--@include coefficients
--@include hold

local function grant_at_once(r)
  local load = load_of(r.agent)
  local q = load.q + r.weight
  local a, b = coefficients(q)
  local waited = load.durable > 0 and S.tick - load.tick or 0
  r.attempt, r.task = '1', ''
  local trust = S.G and S.G.multiplier and S.G.multiplier(r.agent) / 100 or 1
  hold(r, trust * (a * q + b * waited), 0, '0')
end
