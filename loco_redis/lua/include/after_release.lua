-- What governance learns from a piece of work that has ended, well or not.
local function after_release(request, is_well)
  if S.G.judge then S.G.judge(request.agent, is_well and 'success' or 'error', request.waited + 0) end
  if string.find(S.features, 'o', 1, true) then
    --@include slo
    record_wait(request.waited + 0)
  end
  if is_well and S.effective > 0 and request.token + 0 > S.cut then -- about one slot more for a round of all
    S.effective = S.effective + math.floor(1000000 / S.effective)
    if S.effective >= 1000 * S.capacity then S.effective = 0 end
    --@include limit
    S.limit = limit_now()
  end
  if S.tuning then
    --@include tuning
    adapt_alpha()
  end
end
