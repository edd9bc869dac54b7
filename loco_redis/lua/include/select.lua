-- Chooses the candidate with the largest L(i), exactly, without looking at all of them.
--
-- `index` sorts candidates by bucket of Q, then arrival tick, then falling Q, then submit sequence.
-- `buckets` bounds the oldest arrival tick of each bucket from below (it may be too low after a
-- removal; opening the bucket corrects it). So a * ceiling(bucket) + b * (tick - oldest) bounds every
-- L(i) in a bucket from above, and buckets are opened in falling order of bound until the next bound is
-- below the best. Inside a bucket members come oldest first, so a * ceiling + b * D bounds the rest; and
-- once a member of a tick is below the best, so is the rest of that tick. All sums are rounded
-- the same way and rounding is monotone, so the bounds hold for the rounded values too.
-- Cost: about (buckets + members read); measured in benchmarks/README.md.
--@include coefficients

local CHUNK = 8

-- Reads one bucket; returns the best of what it was given and what it found.
local function open_bucket(bucket, oldest, ceiling, a, b, best)
  local from, to, first = '[' .. bucket, '(' .. bucket .. '~', true
  while true do
    local members = redis.call('ZRANGEBYLEX', K.index, from, to, 'LIMIT', 0, CHUNK)
    if first then
      first = false
      if not members[1] then redis.call('ZREM', K.buckets, bucket) return best end
      local tick = tonumber(string.sub(members[1], 5, 16))
      if tick ~= oldest then redis.call('ZADD', K.buckets, tick, bucket) end
    end
    local tick, q, score
    for _, member in ipairs(members) do
      tick = tonumber(string.sub(member, 5, 16))
      if a * ceiling + b * (S.tick - tick) < best.score then return best end
      q = TOP - tonumber(string.sub(member, 17, 32))
      score = a * q + b * (S.tick - tick)
      local seq = tonumber(string.sub(member, 33, 48))
      if score > best.score or (score == best.score and seq < best.seq) then
        best = { agent = string.sub(member, 49), score = score, seq = seq }
      end
    end
    if #members < CHUNK then return best end
    if score < best.score then -- the rest of this tick is no deeper
      from = '[' .. bucket .. string.format('%012d', tick + 1)
    else -- a tie is only possible further on with another Q
      from = '[' .. bucket .. string.format('%012d%016d', tick, TOP - q + 1)
    end
  end
end

local function search_buckets(a, b, max_q)
  local heads = redis.call('ZRANGE', K.buckets, 0, -1, 'WITHSCORES')
  local ceilings, bounds, best = {}, {}, { score = -1 }
  for i = 1, #heads, 2 do
    ceilings[i] = math.min(max_q, bucket_ceiling(heads[i]))
    bounds[i] = a * ceilings[i] + b * (S.tick - tonumber(heads[i + 1]))
  end
  while true do
    local widest
    for i = 1, #heads, 2 do
      if bounds[i] and (not widest or bounds[i] > bounds[widest]) then widest = i end
    end
    if not widest or bounds[widest] < best.score then return best end
    best = open_bucket(heads[widest], tonumber(heads[widest + 1]), ceilings[widest], a, b, best)
    bounds[widest] = nil
  end
end

-- The winner as {agent, score}, or nil without a candidate.
local function choose()
  local a, b, max_q, first = coefficients(0)
  if not first then return nil end
  if S.alpha > 0 then return search_buckets(a, b, max_q) end
  local load = load_of(first) -- only age counts, and seqs rise with arrival ticks
  return { agent = first, score = a * load.q + b * (S.tick - load.tick) }
end
