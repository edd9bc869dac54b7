-- plan_finish: says how a claimed step has ended, and what becomes of those that depend on it.
-- KEYS: plan steps graph due results errors
-- ARGV: channel index fence outcome (done, failed, back: given back unfinished) text (the result as JSON, or
--   the error) delay (us until the next attempt, if there is one)
-- Reply: verdict (ok; already: ended before by this claim, or the plan was; stale: claimed by another since;
--   gone: no such plan) state (of the step) left state (of the plan)
-- Cost: O(dependents log steps); O(all below the step) where they are not to run. Repeating it changes nothing
--@include plan_rows
local CHANNEL, index, fence, outcome, text, delay = unpack(ARGV)
local s = read_step(index)
if not s then return { 'gone', '', 0, '' } end

local function reply(verdict)
  local left, state = unpack(redis.call('HMGET', PLAN, 'left', 'state'))
  return { verdict, s.state, tonumber(left), state }
end

if s.fence ~= fence then return reply('stale') end
if s.state ~= 'running' then return reply('already') end

local function dependents(of)
  local mode, retries, list = string.match(redis.call('HGET', GRAPH, of), '^(%a+)|(%d+)|(.*)$')
  return mode, tonumber(retries), string.gmatch(list, '%d+')
end

local function let_go(of, now)
  local _, _, below = dependents(of)
  for number in below do
    local d = read_step(number)
    if d.state == 'pending' then
      d.waits = d.waits - 1
      if d.waits == 0 then offer(d, now) else write_step(d) end
    end
  end
end

local function stop_below(of, state, now)
  local todo = { of }
  while #todo > 0 do
    local _, _, below = dependents(table.remove(todo))
    for number in below do
      local d = read_step(number)
      if d.state == 'pending' then
        close_step(d, state, now)
        todo[#todo + 1] = number
      end
    end
  end
end

local now = clock()
local mode, retries = dependents(index)
if outcome == 'back' then
  s.state, s.owner = 'pending', ''
  offer(s, now)
elseif outcome == 'done' then
  redis.call('HSET', RESULTS, index, text)
  redis.call('HDEL', ERRORS, index)
  close_step(s, 'done', now)
  let_go(index, now)
else
  redis.call('HSET', ERRORS, index, text)
  s.failures = s.failures + 1
  if s.failures <= retries then
    s.state, s.owner = 'pending', ''
    offer(s, now + delay)
  else
    close_step(s, 'failed', now)
    if mode == 'continue' then
      let_go(index, now)
    elseif mode == 'skip' then
      stop_below(index, 'skipped', now)
    else
      redis.call('HSET', PLAN, 'failed', 1)
      stop_below(index, 'cancelled', now)
    end
  end
end
local left, failed = unpack(redis.call('HMGET', PLAN, 'left', 'failed'))
if left == '0' then close_plan(failed == '1' and 'failed' or 'done', now) end
redis.call('PUBLISH', CHANNEL, index .. '|' .. s.state)
return reply('ok')
