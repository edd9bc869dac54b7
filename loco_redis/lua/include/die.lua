-- A durable task is dead; `why` is a letter and a text: f (it failed), x (its deadline has passed), h (its holder was gone).
--@include task_row
--@include orders

local function die(task, why)
  task.state = 'D'
  redis.call('ZADD', K.dead, int(S.tick), task.id)
  if S.note then S.note('died', task.agent, 'id', task.id, 'attempt', int(task.attempt)) end
  local order = task.flags >= 2 and read_order(task.id)
  if order then
    redis.call('HSET', K.orders, 'e' .. task.id, why)
    redis.call('ZREM', K.timers, 'x' .. task.id)
    free_key(task.id, order)
    tell_result(task.id)
  end
  write_task(task)
end
