-- Adds a cost to what the task was labelled with: `session\31team\31workflow\31model`, or empty.
--@include tally

local function attribute(agent, labels, cost)
  if labels == '' then return end
  local session, team, workflow, model = string.match(labels, '^([^\31]*)\31([^\31]*)\31([^\31]*)\31([^\31]*)$')
  local function by(dimension, first, second)
    if first ~= '' and second ~= '' then tally(dimension, second and first .. '\0' .. second or first, cost) end
  end
  by('s', session)
  by('sa', session, agent)
  by('t', team)
  by('ta', team, agent)
  by('tm', team, model)
  by('tw', team, workflow)
  by('w', workflow)
  by('m', model)
end
