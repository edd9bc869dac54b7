-- submit: puts a durable task into an agent's queue; it stays there until it is served or cancelled.
-- ARGV: channel session floor seen rid agent weight max_attempts body given (as for acquire) order (`start|deadline|ttl|key`: TIMEs in us, `+` from now; or empty)
-- Reply: status serial task_id (the rid, or an earlier task with this key) wake (look again in so many us); REFUSED: policy facts...
-- Statuses: OK REFUSED EXPIRED
-- Cost: O(log N)
-- Keeps: 1-10; a repeat of the same rid changes nothing
local CHANNEL, SESSION, floor, seen, rid, agent, weight, max_attempts, body, given, order = unpack(ARGV)
--@include check_task
--@include numbers
check_call(floor, seen)
check_rid(rid, floor)
check_task(agent, weight, given)
check(weight ~= '' and is_number(max_attempts, 1000000000), 'task')
check(#body <= MOST_BODY, 'payload')
local start, deadline, ttl, key = string.match(order, '^(%+?%d*)|(%+?%d*)|(%d*)|(.*)$')
check(order == '' or start and #start <= 17 and #deadline <= 17 and is_number(ttl, MOST_DELAY) and #key <= MOST_ID, 'order')
--@include upkeep
--@include reply
--@include once
--@include task_row
--@include queue
--@include wake

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) or read_task(rid) then return reply(OK, rid, 0) end
local known = order ~= '' and key ~= '' and redis.call('HGET', K.orders, 'k' .. key)
if known then return reply(OK, known, 0) end

local load = load_of(agent)
local what, most
if load.q + weight > MOST_DEPTH then
  what, most = 'weight', MOST_DEPTH
elseif redis.call('HLEN', K.tasks) >= MOST_TASKS then
  what, most = 'tasks', MOST_TASKS
elseif order ~= '' and redis.call('HLEN', K.orders) >= MOST_ORDERS then
  what, most = 'orders', MOST_ORDERS
end
if what then
  --@include refuse
  refuse(agent, 'full', { what, int(most) })
  return reply(REFUSED, 'full', what, most)
end
local terms = ''
if S.G then
  local plan, refusal = S.G.decide(agent, tonumber(weight), given)
  if not plan then
    --@include refuse
    refuse(agent, refusal[1], { unpack(refusal, 2) })
    return reply(REFUSED, unpack(refusal))
  end
  terms = S.G.admit(plan)
elseif given ~= '' then
  --@include terms
  terms = bare_terms(given)
end

local function at(time) -- an absolute one; 0: none
  return time == '' and 0 or string.sub(time, 1, 1) == '+' and NOW + string.sub(time, 2) or time + 0
end
S.seq = S.seq + 1
local task = { id = rid, state = 'Q', seq = S.seq, tick = S.tick, weight = tonumber(weight), attempt = 0,
  max_attempts = tonumber(max_attempts), flags = body == '' and 0 or 1, terms = terms, agent = agent }
if order ~= '' then
  --@include orders
  task.flags = task.flags + 2
  write_order(rid, { deadline = at(deadline), ttl = ttl + 0, key = key })
  if at(start) > NOW then
    task.state = 'L'
    redis.call('ZADD', K.later, int(at(start)), rid)
    set_alarm(at(start))
  end
end
write_task(task)
if body ~= '' then redis.call('HSET', K.bodies, rid, body) end
if task.state == 'Q' then
  add_task(load, 'd', task.seq, task.tick, task.weight, rid, terms)
  store_load(load)
end
if S.note then S.note('submitted', agent, 'id', rid, 'weight', weight, 'depth', int(load.q)) end
leave_tombstone(rid)
grant_all()
return reply(OK, rid, wake(true))
