-- May a newcomer be granted without having queued? Only if it needs nothing but the free slot.
local function may_go_at_once(agent, tokens)
  if S.G.is_capped and S.G.is_capped(agent) then return false end
  if not S.G.pause then return true end
  if S.G.pause() > 0 or S.G.pause_for(tokens) > 0 or redis.call('EXISTS', K.ready) == 1 then return false end
  if S.servers == 0 then return true end
  --@include search_idle
  return not search_idle(0, 0, 0)
end
