-- tally: adds to the fleet's figures; `x` entries are averaged (exponentially, factor 0.3), not added.
-- ARGV: channel session floor seen rid entries (each `dimension|amount|length of value|value`)
-- Reply: status serial
-- Statuses: OK EXPIRED
-- Cost: O(entries)
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, rid, entries = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
check(#entries <= MOST_BODY, 'tally')
local counts, at = {}, 1
while at <= #entries do
  local dimension, amount, length, start = string.match(entries, '^(%a+)|(%-?%d+)|(%d+)|()', at)
  check(dimension and #amount <= 16 and #length <= 4, 'tally')
  counts[#counts + 1] = { dimension, string.sub(entries, start, start + length - 1), amount + 0 }
  at = start + length
end
--@include upkeep
--@include reply
--@include once
--@include tally

local MOST_AVERAGES = 10000

local function average(value, amount)
  local field = 'x\0' .. value
  local before = redis.call('HGET', K.tallies, field)
  if not before then
    if (redis.call('HGET', K.tallies, '#x') or 0) + 0 >= MOST_AVERAGES then return end
    redis.call('HINCRBY', K.tallies, '#x', '1')
  end
  local now = before and 0.3 * amount + 0.7 * before or amount
  redis.call('HSET', K.tallies, field, string.format('%.17g', now))
end

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply(OK) end
leave_tombstone(rid)
for _, count in ipairs(counts) do
  if count[1] == 'x' then average(count[2], count[3]) else tally(unpack(count)) end
end
return reply(OK)
