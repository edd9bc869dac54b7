-- Ends what a session owns: its waiting requests are withdrawn, its leases reclaimed.
--@include withdraw
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
    redis.call('ZADD', K.unsettled, 0, entry)
    redis.call('ZREMRANGEBYRANK', K.unsettled, 0, -MOST_UNSETTLED - 1)
  end
  if request.task == '' then return end
  local task = read_task(request.task)
  if task.max_attempts > 0 and task.attempt >= task.max_attempts then
    task.state = 'D'
    write_task(task)
    redis.call('ZADD', K.dead, S.tick, task.id)
  else
    reserve(request.agent, task.terms) -- the next attempt costs, too
    requeue(task)
  end
end

local function forget_session(id)
  redis.call('ZREM', K.deadlines, id)
  redis.call('HDEL', K.sessions, id)
  redis.call('ZREMRANGEBYLEX', K.tombstones, '[' .. id .. ':', '(' .. id .. ';')
  sessions[id] = nil
end

-- At most `units` requests; returns the units spent and whether the session is gone.
local function end_session(id, units)
  local rids = redis.call('ZRANGEBYLEX', K.owned, '[' .. id .. ':', '(' .. id .. ';', 'LIMIT', 0, units)
  for _, rid in ipairs(rids) do
    local request = read_request(rid)
    if request.state == 'W' then withdraw(request) else reclaim(request) end
  end
  if #rids == units then return units, false end
  forget_session(id)
  return #rids + 1, true
end
