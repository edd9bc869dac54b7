-- In how many us the caller should look again, because a slot is free that may not be given yet; or 0.
local function wake()
  return S.wake and math.max(S.wake - S.vnow, 1) or 0
end
