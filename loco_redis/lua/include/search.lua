-- Finds the candidate with the largest L(i), exactly, without looking at all of them.
--
-- `index` sorts candidates by bucket of Q, then arrival tick, then falling Q, then submit sequence.
-- `buckets` bounds the oldest arrival tick of each bucket from below (it may be too low after a
-- removal; opening the bucket corrects it). So a * ceiling(bucket) + b * (tick - oldest) bounds every
-- L(i) in a bucket from above, and buckets are opened in falling order of bound until the next bound is
-- below the best. Inside a bucket members come oldest first, so a * ceiling + b * D bounds the rest; and
-- once a member of a tick is below the best, so is the rest of that tick. All sums are rounded
-- the same way and rounding is monotone, so the bounds hold for the rounded values too.
-- Buckets hold agents of one trust, whose factor multiplies all sums in them.
-- Cost: about (buckets + members read); measured in benchmarks/README.md.
--@include loads

local FEW, MORE = 2, 8 -- members read of a bucket at first, and then

-- Reads one bucket; returns agent, score and seq of the best of what it was given and what it found.
local function open_bucket(bucket, oldest, ceiling, m, a, b, best, best_score, best_seq)
  local from, to, chunk, at = '[' .. bucket, '(' .. bucket .. '~', FEW, #bucket
  while true do
    local members = redis.call('ZRANGEBYLEX', K.index, from, to, 'LIMIT', '0', chunk)
    if chunk == FEW then
      if not members[1] then
        redis.call('ZREM', K.buckets, bucket)
      elseif string.sub(members[1], at + 1, at + 12) + 0 > oldest + 0 then
        redis.call('ZADD', K.buckets, string.sub(members[1], at + 1, at + 12), bucket)
      end
    end
    local tick, q, score
    for i = 1, #members do
      local member = members[i]
      tick = string.sub(member, at + 1, at + 12) + 0
      local by_age = b * (S.tick - tick)
      if m * (a * ceiling + by_age) < best_score then return best, best_score, best_seq end
      q = TOP - string.sub(member, at + 13, at + 28)
      score = m * (a * q + by_age)
      if score >= best_score then
        local seq = string.sub(member, at + 29, at + 44) + 0
        if score > best_score or seq < best_seq then
          best, best_score, best_seq = string.sub(member, at + 45), score, seq
        end
      end
    end
    if #members < chunk then return best, best_score, best_seq end
    chunk = MORE
    if score < best_score then -- the rest of this tick is no deeper
      from = '[' .. bucket .. string.format('%012d', tick + 1)
    else -- a tie is only possible further on with another Q
      from = '[' .. bucket .. string.format('%012d%016d', tick, TOP - q + 1)
    end
  end
end

-- The factor of L(i) in a bucket: 1, or the trust that its place says.
local function trust_in(bucket)
  return #bucket > 4 and string.sub(bucket, -7, -5) / 100 or 1
end

-- The best over all buckets: agent and score. `first` is the candidate with the oldest head: nobody wins a
-- tie against it, so buckets that could only tie are not opened.
local function search_buckets(a, b, max_q, first)
  local buckets = redis.call('ZRANGE', K.buckets, '0', '-1', 'WITHSCORES')
  local ceilings, bounds, tick = {}, {}, S.tick -- ceilings by bucket of Q: no Q in it is above
  for at = 1, #buckets / 2 do
    local bucket = buckets[2 * at - 1]
    local digits = #bucket > 4 and string.sub(bucket, -4) or bucket
    local ceiling = ceilings[digits]
    if not ceiling then
      local step = digits % 16
      ceiling = math.min(max_q, math.ldexp((step + 17) / 32, (digits - step) / 16))
      ceilings[digits] = ceiling
    end
    local bound = a * ceiling + b * (tick - buckets[2 * at])
    bounds[at] = #bucket > 4 and trust_in(bucket) * bound or bound
  end
  local best, best_seq = first.agent, first.seq
  local trust = first.place ~= '' and trust_in(first.place .. '0000') or 1
  local best_score = trust * (a * first.q + b * (tick - first.tick))
  while true do
    local widest, bound = nil, -1
    for at = 1, #bounds do
      if bounds[at] > bound then widest, bound = at, bounds[at] end
    end
    if bound < best_score or bound == best_score and best_seq == first.seq then return best, best_score end
    local bucket = buckets[2 * widest - 1]
    best, best_score, best_seq = open_bucket(bucket, buckets[2 * widest], ceilings[string.sub(bucket, -4)],
      trust_in(bucket), a, b, best, best_score, best_seq)
    bounds[widest] = -1
  end
end
