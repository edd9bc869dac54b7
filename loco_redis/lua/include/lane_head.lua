-- Looking into a lane of an agent's queue.
--@include keys

-- The oldest entry of a lane of `queue`, or nil; `newest` asks for the other end.
local function lane_head(agent, lane, newest)
  local from, to = '[' .. agent .. '\0' .. lane, '(' .. agent .. '\0' .. lane .. '~'
  local found
  if newest then
    found = redis.call('ZREVRANGEBYLEX', K.queue, to, from, 'LIMIT', '0', '1')[1]
  else
    found = redis.call('ZRANGEBYLEX', K.queue, from, to, 'LIMIT', '0', '1')[1]
  end
  if not found then return nil end
  local at = #agent + 3
  return { seq = string.sub(found, at, at + 15) + 0, tick = string.sub(found, at + 16, at + 27) + 0,
    id = string.sub(found, at + 28), lane = lane, member = found }
end
