-- plan_claim: gives a runner steps that are ready, or whose owner has let its claim expire.
-- KEYS: plan steps graph due results errors
-- ARGV: owner ttl (us, of the claim) room (how many at most) adopt ('1': a reply of an earlier call may have
--   been lost, claims of this owner but those that follow are given anew), the fencing numbers it holds:
--   what of these has expired is renewed
-- Reply: state (of the plan; '' = no such plan) left wait (us until the next look pays, -1 = none),
--   then for each claim: index fence attempt failures
-- Cost: O(claims log steps); O(steps) with adopt
--@include plan_rows
local owner, ttl, room, adopt = unpack(ARGV, 1, 4)
local state, left = unpack(redis.call('HMGET', PLAN, 'state', 'left'))
if not state then return { '', 0, -1 } end
if state ~= 'running' then return { state, tonumber(left), -1 } end
local now = clock()

local held = {}
for place = 5, #ARGV do held[ARGV[place]] = true end
if adopt == '1' then
  local rows = redis.call('HGETALL', STEPS)
  for place = 1, #rows, 2 do
    local s = parse_step(rows[place], rows[place + 1])
    if s.state == 'running' and s.owner == owner and not held[s.fence] then offer(s, now) end
  end
end

local reply = { state, tonumber(left), -1 }
for _, index in ipairs(redis.call('ZRANGE', DUE, '-inf', whole(now), 'BYSCORE', 'LIMIT', '0', room)) do
  local s = read_step(index)
  if s.state == 'running' and held[s.fence] then
    offer(s, now + ttl) -- expired, and nobody has taken it from the one who asks
  else
    s.state, s.attempt, s.owner, s.started = 'running', s.attempt + 1, owner, now
    s.fence = whole(redis.call('HINCRBY', PLAN, 'fence', 1))
    offer(s, now + ttl)
    for _, value in ipairs({ index, s.fence, whole(s.attempt), s.failures }) do reply[#reply + 1] = value end
  end
end
local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
if first[2] then reply[3] = math.max(0, first[2] - now) end
return reply
