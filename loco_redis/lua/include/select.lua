-- Chooses the candidate with the largest L(i), exactly.
--@include coefficients

-- The best of those who have a request waiting, with its score.
local function choose_waiting(a, b, max_q, first)
  local oldest = load_of(first)
  local is_plain = not S.G or not S.G.multiplier
  if is_plain and (S.alpha == 0 or oldest.q == max_q) then -- nobody is older; depth does not count, or nobody is deeper
    return first, a * oldest.q + b * (S.tick - oldest.tick)
  end
  --@include search
  return search_buckets(a, b, max_q, oldest)
end

-- The winner and its score, or nil without a candidate.
local function choose()
  local a, b, max_q, first = coefficients(0)
  local agent, score
  if first then agent, score = choose_waiting(a, b, max_q, first) end
  if S.servers > 0 then
    --@include search_idle
    return search_idle(a, b, max_q, agent, score)
  end
  return agent, score
end
