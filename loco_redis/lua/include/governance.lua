-- What governance adds to the scripts, where something of it is on: S.features says what (features.lua).
-- Included in the branch that needs it, so that it costs nothing where it is off.
S.G = {}
--@include admission
S.G.decide, S.G.admit = decide, admit
if string.find(S.features, 'c', 1, true) then
  --@include caps
  S.G.count_lease, S.G.is_capped, S.G.line_of, S.G.shift, S.G.sweep, S.G.is_closed = count_lease, is_capped,
    line_of, shift, sweep, is_closed
  S.G.agent_is_full = function(agent)
    local cap = agent_cap(agent)
    return cap and is_full('h' .. agent, cap)
  end
end
S.note = nil
if string.find(S.features, 'e', 1, true) then
  --@include note
  S.note = note
end
if string.find(S.features, 's', 1, true) then
  --@include trust
  S.G.judge, S.G.multiplier = judge, multiplier
end
if string.find(S.features, '[rth]') then
  --@include pacing
  S.G.pause, S.G.pause_for, S.G.take_rate, S.G.next_tokens, S.G.correct_tokens = pause, pause_for, take_rate, next_tokens, correct_tokens
end
