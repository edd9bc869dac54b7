-- Takes a lease from its holder.
--@include finish

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
  --@include put_back
  put_back(read_task(request.task), 0, 'h')
end
