-- The cheapest that keeps the SLO and has room; where none does, the one that is expected to answer first. When the
-- budget runs low, the cheapest.
pick = probing[1]
local found, fit = rested(), {}
if not pick and #found > 0 then
  for _, backend in ipairs(found) do
    local keeps = slo + 0 == 0 or (backend.latency or 0) <= slo + 0
    if low or (keeps and backend.share < 1) then fit[#fit + 1] = backend end
  end
  if #fit > 0 then
    pick = least(fit, function(backend) return backend.cost end)
  else
    pick = least(found, expected(found))
  end
end
