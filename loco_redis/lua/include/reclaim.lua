-- Takes a lease from its holder.
--@include finish
--@include requeue

local MOST_UNSETTLED = 10000

-- The holder is gone. Its cost stays unknown until somebody settles it late.
local function reclaim(request)
  finish(request, 1)
  S.reclaimed = S.reclaimed + 1
  --@include reserve
  local cost, _, flags = read_terms(request.terms, request.weight)
  if not request.settled then
    post(request.agent, flags, -cost, 0, cost)
    local entry = string.format('%016d|%d|%s|', request.token, cost, flags) .. request.agent
    redis.call('ZADD', K.unsettled, '0', entry)
    redis.call('ZREMRANGEBYRANK', K.unsettled, '0', -MOST_UNSETTLED - 1)
  end
  if request.task == '' then return end
  local task = read_task(request.task)
  if task.max_attempts > 0 and task.attempt >= task.max_attempts then
    task.state = 'D'
    write_task(task)
    redis.call('ZADD', K.dead, S.tick, task.id)
    if S.note then S.note('died', task.agent, 'id', task.id, 'attempt', int(task.attempt)) end
  else
    reserve(request.agent, task.terms) -- the next attempt costs, too
    requeue(task)
  end
end
