-- agent: one agent: its queue, its age, its score now.
-- ARGV: channel session agent
-- Reply: status serial [agent type registered Q dmax score queued waiting holding]
-- Statuses: OK UNKNOWN_AGENT (not registered and nothing queued, waiting or held)
-- Cost: O(log N + held). Writes nothing
-- Keeps: all
local CHANNEL, SESSION, agent = unpack(ARGV)
--@include status
--@include describe

read_state()
if not S then return { UNKNOWN_AGENT, 0 } end
local a, b = coefficients(0)
local row = describe(agent, a, b, holding())
if row[3] == 0 and row[7] + row[8] + row[9] == 0 then return { UNKNOWN_AGENT, S.serial } end
return { OK, S.serial, row }
