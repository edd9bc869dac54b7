-- Slots that may be held: the capacity, or less since a holder was throttled (throttle.lua), or none while paused.
local function limit_now()
  if S.features and string.find(S.features, 'z', 1, true) then return 0 end
  return S.effective > 0 and math.min(S.capacity, math.floor(S.effective / 1000)) or S.capacity
end
