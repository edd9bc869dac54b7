-- Of two taken at random, the one that is expected to answer sooner: so not everybody runs to the quickest at once.
pick = probing[1]
local found = rested()
local count = #found
if not pick and count > 0 then
  local first = math.floor(random1 * count)
  local second = (first + 1 + math.floor(random2 * (count - 1))) % count
  pick = least({ found[first + 1], found[second + 1] }, expected(found))
end
