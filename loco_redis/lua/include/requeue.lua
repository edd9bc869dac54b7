-- Puts a durable task back where it was: same submit sequence, same arrival.
--@include task_row
--@include queue

local function requeue(task)
  task.state = 'Q'
  write_task(task)
  local load = load_of(task.agent)
  add_task(load, 'd', task.seq, task.tick, task.weight, task.id, task.terms)
  store_load(load)
  if S.note then S.note('requeued', task.agent, 'id', task.id, 'attempt', int(task.attempt)) end
end
