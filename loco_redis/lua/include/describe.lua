-- An agent as readers see it: agent type registered Q dmax score queued waiting holding.
local loads = {} -- by agent, as loads.lua reads them
--@include coefficients
--@include holding
-- The factor of L(i) that a place says: 1, or trust.
local function trust_in(place)
  return #place > 4 and string.sub(place, -3) / 100 or 1
end

local function describe(agent, a, b, held)
  local load, agent_type = load_of(agent), redis.call('HGET', K.agents, agent)
  local competing = load.bound + load.durable > 0
  local age = competing and S.tick - load.tick or 0
  local score = competing and trust_in(load.place) * (a * load.q + b * age) or 0
  return { agent, agent_type or '', agent_type and 1 or 0, load.q, age, string.format('%.17g', score),
    load.bound + load.durable, load.bound + load.open, held[agent] or 0 }
end
