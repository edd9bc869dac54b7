-- What was to be done at a TIME that has come: delayed tasks join their queues, tasks past their deadlines die, results
-- are forgotten. At most 32 a script.
--@include task_row
--@include orders
--@include queue

local RINGS = 32

-- First attempts arrive now; others keep their age.
local function join_queue(id)
  local task = read_task(id)
  if task.attempt == 0 then
    S.seq = S.seq + 1
    task.seq, task.tick = S.seq, S.tick
  end
  task.state = 'Q'
  write_task(task)
  local load = load_of(task.agent)
  add_task(load, 'd', task.seq, task.tick, task.weight, id, task.terms)
  store_load(load)
  if S.note then S.note('due', task.agent, 'id', id, 'attempt', int(task.attempt)) end
end

local function expire_task(id)
  local task = read_task(id)
  if task.state ~= 'Q' and task.state ~= 'L' then return end -- a running one may still be done
  --@include drop_queued
  --@include die
  if task.terms ~= '' then
    --@include accounts
    settle_terms(task.agent, task.terms, 0)
  end
  if task.state == 'Q' then drop_queued(task) else redis.call('ZREM', K.later, id) end
  die(task, 'x')
end

local function ring()
  local now = int(NOW)
  S.rang = true
  local tasks = redis.call('ZRANGE', K.later, '-inf', now, 'BYSCORE', 'LIMIT', '0', int(RINGS))
  for _, id in ipairs(tasks) do
    redis.call('ZREM', K.later, id)
    join_queue(id)
  end
  if #tasks < RINGS then
    for _, timer in ipairs(redis.call('ZRANGE', K.timers, '-inf', now, 'BYSCORE', 'LIMIT', '0', int(RINGS - #tasks))) do
      local kind, id = string.sub(timer, 1, 1), string.sub(timer, 2)
      redis.call('ZREM', K.timers, timer)
      if kind == 'x' then expire_task(id) else forget_order(id, read_order(id)) end
    end
  end
  S.alarm = 0
  for _, key in ipairs({ K.later, K.timers }) do
    local first = redis.call('ZRANGE', key, '0', '0', 'WITHSCORES')
    if first[2] then set_alarm(first[2] + 0) end
  end
end
