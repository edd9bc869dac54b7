-- When the caller should look again, as there is no daemon: in so many us, or 0.

-- Because a slot is free that may not be given yet.
local function until_given()
  return S.wake and math.max(S.wake - S.vnow, 1) or 0
end

-- Also because a task's time will have come; one session is told that, the first of those that serve any agent, and
-- whoever has just said so (`is_own`).
local function wake(is_own)
  local wait = until_given()
  if S.alarm == 0 or not is_own and S.servers == 0 then return wait end
  if not is_own then
    --@include lane_head
    if string.sub(lane_head('', 's').id, 1, -14) ~= SESSION then return wait end
  end
  local first = redis.call('ZRANGE', K.later, '0', '0', 'WITHSCORES')[2]
  local due = first and math.max(first - NOW, 1) or wait
  return wait == 0 and due or math.min(wait, due)
end
