-- A durable task is done; `value` is kept for whoever asks, if its order says so.
--@include task_row
--@include orders

local function complete_task(id, value)
  local order = read_order(id)
  drop_task(id)
  if not order then return end
  if order.ttl == 0 then return forget_order(id, order) end
  redis.call('ZREM', K.timers, 'x' .. id)
  redis.call('HDEL', K.orders, 'e' .. id)
  redis.call('HSET', K.orders, 'r' .. id, value)
  redis.call('ZADD', K.timers, int(NOW + order.ttl), 'r' .. id)
  set_alarm(NOW + order.ttl)
  tell_result(id)
end
