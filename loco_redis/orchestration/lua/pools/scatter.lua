-- scatter: leases of a pool have ended, or somebody has left the line: tells those in the line who can go now.
-- KEYS: line, then `vars` and `holders` of each resource that the caller knows
-- ARGV: channel (a pool's is that and its id) ticks (leases that ended) leaving (ids that give up, joined by a space) names...
-- Reply: how many were told
-- Cost: O(N log N) of the line. Works on a full server. What is told is a hint; who misses it asks again by itself
--@include line
local LINE = KEYS[1]
local channel, ticks, leaving = unpack(ARGV, 1, 3)

redis.call('HDEL', LINE, '') -- gets through on a full server
for id in string.gmatch(leaving, '%S+') do
  redis.call('HDEL', LINE, id)
end
local figures = redis.call('HMGET', LINE, '#tick', '#alpha')
if not figures[1] then return 0 end
local tick = figures[1] + ticks
redis.call('HSET', LINE, '#tick', int(tick))

local waiters, free = read_line(LINE), {}
weigh(waiters, tick, figures[2] + 0)
for at = 4, #ARGV do
  local key = 2 * (at - 3)
  free[ARGV[at]] = free_slots(KEYS[key], KEYS[key + 1])
end
tidy(LINE)
return tell(waiters, free, channel)
