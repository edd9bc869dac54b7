-- report: what became of a request. Ends its reservation, moves the mean latency and the breaker, books the cost.
-- KEYS: state flights expiry (routing/state.lua)
-- ARGV: id outcome (ok, failed, none) latency cost pause errors window open_for longest period (us; cost in millionths)
-- Reply: 1 change: counted; the breaker `opened` or `closed` by it, or neither (empty)
--   0: it has been counted before, or its reservation had expired
-- Cost: O(errors). Works on a full server. A repeat changes nothing.
-- A breaker's generation counts its changes: an outcome of a request that was sent before the last one says nothing of
-- the backend as it is now, and moves nothing. The breaker is half open when `until` has passed.
local id, outcome, latency, cost, pause, errors, window, open_for, longest, period = unpack(ARGV)
--@include state
--@include period

local row = redis.call('HGET', FLIGHTS, id)
if not row then return { 0 } end
local backend, probe, sent = land(id, row)
renew_budget(period)
spend(backend, cost + 0)
if outcome == 'none' then return { 1, '' } end

redis.call('HINCRBY', STATE, backend .. '/' .. outcome, '1')
local stored = redis.call('HMGET', STATE, backend .. '/health', backend .. '/latency', backend .. '/errors',
  backend .. '/hold')
local generation, till, opened_for = health_of(stored[1])
local is_fresh = sent == generation

--@include outcome

if outcome == 'ok' then
  learn(latency + 0)
  if probe and is_fresh then return { 1, close() } end
  return { 1, '' }
end
if stored[2] and latency + 0 > mean() then learn(latency + 0) end
if pause + 0 > 0 and now + pause > (stored[4] or 0) + 0 then
  redis.call('HSET', STATE, backend .. '/hold', int(now + pause))
end
if not is_fresh then return { 1, '' } end
if probe then return { 1, open(math.min(2 * opened_for, longest + 0)) } end
return { 1, till == 0 and count_error() and open(open_for + 0) or '' }
