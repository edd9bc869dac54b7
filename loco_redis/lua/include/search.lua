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
-- Cost: about (buckets + members read); measured in docs/benchmarks.md.
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

-- No Q in the bucket is above it.
local function ceiling_of(bucket, max_q)
  local digits = (#bucket > 4 and string.sub(bucket, -4) or bucket) + 0
  local step = digits % 16
  return math.min(max_q, math.ldexp((step + 17) / 32, (digits - step) / 16))
end

-- The best over all buckets: agent and score. `first` is the candidate with the oldest head: nobody wins a
-- tie against it, so buckets that could only tie are not opened.
local function search_buckets(a, b, max_q, first)
  local buckets = redis.call('ZRANGE', K.buckets, '0', '-1', 'WITHSCORES')
  local best, best_seq, tick = first.agent, first.seq, S.tick
  local trust = first.place ~= '' and trust_in(first.place .. '0000') or 1
  local best_score = trust * (a * first.q + b * (tick - first.tick))
  local bounds, places, count = {}, {}, 0 -- of those that may hold a better one
  for at = 1, #buckets, 2 do
    local bucket = buckets[at]
    local bound = a * ceiling_of(bucket, max_q) + b * (tick - buckets[at + 1])
    if #bucket > 4 then bound = trust_in(bucket) * bound end
    if bound >= best_score then
      count = count + 1
      bounds[count], places[count] = bound, at
    end
  end
  while true do
    local widest, bound, kept = 0, -1, 0
    for at = 1, count do
      if bounds[at] >= best_score then
        kept = kept + 1
        bounds[kept], places[kept] = bounds[at], places[at]
        if bounds[kept] > bound then widest, bound = kept, bounds[kept] end
      end
    end
    count = kept
    if bound < best_score or bound == best_score and best_seq == first.seq then return best, best_score end
    local bucket = buckets[places[widest]]
    best, best_score, best_seq = open_bucket(bucket, buckets[places[widest] + 1], ceiling_of(bucket, max_q),
      trust_in(bucket), a, b, best, best_score, best_seq)
    bounds[widest] = -1
  end
end
