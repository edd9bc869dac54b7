-- The decision log (README.md, Events): entries are collected while a script decides, and written at its end.
local function note(kind, agent, ...)
  local entry = { 'at', int(NOW), 'tick', int(S.tick), 'kind', kind, ... }
  if agent then
    entry[#entry + 1], entry[#entry + 2] = 'agent', agent
  end
  S.noted = S.noted or {}
  S.noted[#S.noted + 1] = entry
end
