-- renew_routes: a process lives, and so do its requests.
-- KEYS: state flights expiry (routing/state.lua)
-- ARGV: ttl (us), then the ids
-- Reply: how many of them are known
-- Cost: O(ids). What has expired is not brought back: its place was given up, and the slot itself is the scheduler's.
--@include state
local known = 0
for i = 2, #ARGV do
  if redis.call('ZSCORE', EXPIRY, ARGV[i]) then
    redis.call('ZADD', EXPIRY, int(now + ARGV[1]), ARGV[i])
    known = known + 1
  end
end
return known
