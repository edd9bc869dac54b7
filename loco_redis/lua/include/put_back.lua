-- A durable task that has been started is not done: it is tried again, after `delay` us, unless it has been tried as
-- often as it may be or its deadline has passed. `why`: see die.lua.
--@include task_row
--@include orders

local function put_back(task, delay, why)
  local order = task.flags >= 2 and read_order(task.id)
  local too_often = task.max_attempts > 0 and task.attempt >= task.max_attempts
  if too_often or order and order.deadline > 0 and order.deadline <= NOW then
    --@include die
    return die(task, too_often and why or 'x')
  end
  if order then watch_deadline(task.id, order) end -- it may have rung: the clock may have been set back since
  --@include reserve
  reserve(task.agent, task.terms) -- the next attempt costs, too
  if delay == 0 then
    --@include requeue
    return requeue(task)
  end
  task.state = 'L'
  write_task(task)
  redis.call('ZADD', K.later, int(NOW + delay), task.id)
  set_alarm(NOW + delay)
end
