-- Rendezvous hashing: every backend has drawn a number by the key and its name, the highest wins. When one goes, only
-- its keys move, and they come back with it. One that is held keeps its keys: they wait.
for _, list in ipairs({ closed, probing }) do
  for _, backend in ipairs(list) do
    if not pick or backend.draw > pick.draw then pick = backend end
  end
end
