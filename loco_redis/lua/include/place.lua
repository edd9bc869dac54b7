-- Where caps and trust put an agent with a waiting request. Its `place` is empty, or `c`: at its cap, or
-- `:tenant:percent`: the line of a capped tenant (or none), and its trust.
local function place_of(load)
  if S.G.agent_is_full and S.G.agent_is_full(load.agent) then return 'c' end
  local tenant = S.G.line_of and S.G.line_of(load.agent)
  local percent = S.G.multiplier and S.G.multiplier(load.agent) or 100
  if not tenant and percent == 100 then return '' end
  return ':' .. (tenant or '') .. string.format(':%03d', percent)
end

-- Of one whose durable tasks wait for whoever serves any: its trust. Its caps are looked at when it is chosen.
local function idle_place_of(load)
  local percent = S.G.multiplier and S.G.multiplier(load.agent) or 100
  return percent == 100 and '' or string.format('::%03d', percent)
end

local function home_at(place)
  return place == 'c' and K.parked or string.find(place, '^:[^:]') and K.index or K.ready
end
