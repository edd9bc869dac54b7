-- Orders: what is said of a durable task beyond its queue (README.md, Orders). Fields of `orders` are a letter and an id:
-- `o` the order, `e` why it failed last, `r` its result, `w` the sessions that wait for it; and `k<key>`, the task of a key.
--@include session_row

-- Something is due at this TIME.
local function set_alarm(at)
  if S.alarm == 0 or at < S.alarm then S.alarm = at end
end

local function read_order(id)
  local row = redis.call('HGET', K.orders, 'o' .. id)
  if not row then return nil end
  local deadline, ttl, key = string.match(row, '^(%d+)|(%d+)|(.*)$')
  return { deadline = deadline + 0, ttl = ttl + 0, key = key }
end

local function watch_deadline(id, order)
  if order.deadline == 0 then return end
  redis.call('ZADD', K.timers, int(order.deadline), 'x' .. id)
  set_alarm(order.deadline)
end

local function write_order(id, order)
  redis.call('HSET', K.orders, 'o' .. id, string.format('%d|%d|', order.deadline, order.ttl) .. order.key)
  if order.key ~= '' and redis.call('HEXISTS', K.orders, 'k' .. order.key) == 0 then
    redis.call('HSET', K.orders, 'k' .. order.key, id)
  end
  watch_deadline(id, order)
end

-- A task with its key may be submitted again.
local function free_key(id, order)
  if order.key ~= '' and redis.call('HGET', K.orders, 'k' .. order.key) == id then
    redis.call('HDEL', K.orders, 'k' .. order.key)
  end
end

-- Who waits for its result is told to look.
local function tell_result(id)
  for name in string.gmatch(redis.call('HGET', K.orders, 'w' .. id) or '', '[^,]+') do
    local session = session_row(name)
    if session then
      session.delivered, session.changed = session.delivered + 1, true
      redis.call('PUBLISH', CHANNEL .. name, 'done|' .. id)
    end
  end
  redis.call('HDEL', K.orders, 'w' .. id)
end

local function forget_order(id, order)
  tell_result(id)
  free_key(id, order)
  redis.call('ZREM', K.timers, 'x' .. id, 'r' .. id)
  redis.call('HDEL', K.orders, 'o' .. id, 'e' .. id, 'r' .. id)
end
