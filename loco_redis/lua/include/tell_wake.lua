-- A slot is free that may not be given yet: somebody has to look again, as there is no daemon.
--@include lane_head

-- The session of somebody who waits for that moment is told when to look, once.
local function tell_wake()
  local first, id = redis.call('ZRANGE', K.ready, '0', '0')[1], nil
  if first then
    local load = load_of(first)
    id = load.lane == 'b' and load.head or lane_head(load.agent, load.open > 0 and 'o' or 'b').id
  else
    id = lane_head('', 's').id
  end
  redis.call('PUBLISH', CHANNEL .. string.sub(id, 1, -14), 'wake|' .. int(math.max(S.wake - S.vnow, 1)))
  S.told = S.wake
end
