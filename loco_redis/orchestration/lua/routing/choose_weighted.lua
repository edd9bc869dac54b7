-- Smooth weighted round robin: each gains its weight, the one with most is chosen and loses the sum. In a round every
-- backend gets its share exactly, and not in a row.
pick = probing[1]
local found, turns, total = rested(), {}, 0
if not pick and #found > 0 then
  for i, backend in ipairs(found) do turns[i] = backend.name .. '/turn' end
  turns = redis.call('HMGET', STATE, unpack(turns))
  for i, backend in ipairs(found) do
    backend.turn = (turns[i] or 0) + backend.weight
    total = total + backend.weight
    if not pick or backend.turn > pick.turn then pick = backend end
  end
  pick.turn = pick.turn - total
  local changes = {}
  for _, backend in ipairs(found) do
    changes[#changes + 1] = backend.name .. '/turn'
    changes[#changes + 1] = int(backend.turn)
  end
  redis.call('HSET', STATE, unpack(changes))
end
