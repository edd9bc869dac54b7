-- The one place that ends a lease; time passes with it, except where a grant is given back. What becomes of its task and cost, the verbs say.
--@include request_row

local function finish(request, ticks)
  freed[#freed + 1] = request.slot
  S.held = S.held - 1
  drop_request(request.id)
  if S.G and S.G.count_lease then S.G.count_lease(request.agent, -1) end
  S.tick = S.tick + ticks
  local t = S.tuning
  if t and ticks > 0 then t.ages, t.squares, t.changed = t.ages + t.competing, t.squares + 2 * t.ages + t.competing, true end
end
