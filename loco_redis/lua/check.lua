-- check: would this task be let in now? Consumes nothing.
-- ARGV: channel session agent weight given (as for acquire)
-- Reply: status serial; REFUSED: policy facts...
-- Statuses: OK REFUSED UNCONFIGURED
-- Cost: O(1). Writes nothing
-- Keeps: all
local CHANNEL, SESSION, agent, weight, given = unpack(ARGV)
--@include status
--@include now
--@include state

read_state()
if not S then return { UNCONFIGURED, 0 } end
if S.features then
  --@include admission
  local plan, refusal = decide(agent, weight + 0, given)
  if not plan then return { REFUSED, S.serial, unpack(refusal) } end
end
return { OK, S.serial }
