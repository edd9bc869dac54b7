-- A task's time has come: the first of those that serve any agent is told when the next one's will, as there is no daemon.
--@include lane_head

local function tell_due()
  local first = redis.call('ZRANGE', K.later, '0', '0', 'WITHSCORES')[2]
  if first and S.servers > 0 then
    local session = string.sub(lane_head('', 's').id, 1, -14)
    redis.call('PUBLISH', CHANNEL .. session, 'wake|' .. int(math.max(first - NOW, 1)))
  end
end
