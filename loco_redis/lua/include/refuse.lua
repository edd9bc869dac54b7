-- What was asked for is refused: counted by its reason.
--@include tally

local function refuse(agent, why, facts)
  tally('f', why, 1)
  if S.note then S.note('refused', agent, 'why', why, 'facts', table.concat(facts, ' ')) end
end
