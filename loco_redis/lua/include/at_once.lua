-- May a newcomer be granted without having queued? Only if it needs nothing but the free slot.
local function may_go_at_once(agent, tokens)
  if S.G.is_capped and S.G.is_capped(agent) then return false end
  return not S.G.pause or S.G.pause() == 0 and S.G.pause_for(tokens) == 0 and redis.call('EXISTS', K.ready) == 0
end
