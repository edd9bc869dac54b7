-- tally: adds to the fleet's figures; `x` entries are averaged (exponentially, factor 0.3), not added.
-- ARGV: channel session floor seen rid entries (each `dimension|amount|length of value|value`)
-- Reply: status serial
-- Statuses: OK EXPIRED
-- Cost: O(entries)
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, rid, entries = unpack(ARGV)
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
local at = 1
while at <= #entries do
  local dimension, amount, length, start = string.match(entries, '^(%a+)|(%-?%d+)|(%d+)|()', at)
  local value = string.sub(entries, start, start + length - 1)
  if dimension == 'x' then average(value, amount + 0) else tally(dimension, value, amount + 0) end
  at = start + length
end
return reply(OK)
