-- A request waits; it may win a slot in this very script.
--@include wake

local function answer(sequence, depth)
  grant_all()
  for _, grant in ipairs(own_grants) do
    if string.match(grant, '^%d+') + 0 == sequence then return GRANTED, S.tick, 0, depth end
  end
  return QUEUED, S.tick, until_given(), depth
end
