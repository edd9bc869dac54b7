-- several: acquires and releases of one session, one after the other, as if each came alone at this moment.
-- ARGV: channel session floor seen steps... (each: `acquire` or `release`, and what its script is given from rid on)
-- Reply: a list for each step: what its script would reply
-- Statuses: GRANTED QUEUED FINISHED BACKPRESSURE REFUSED OK EXPIRED
-- Cost: that of its steps, with the upkeep of one. Refused on a full server, whatever the steps are
-- Keeps: 1-10; a step that came before changes nothing
local CHANNEL, SESSION, floor, seen = unpack(ARGV)
local steps, at, replies = ARGV, 5, {}
--@include check_task
--@include check_release
check_call(floor, seen)
while steps[at] do
  local verb, rid, a, b, c, d = unpack(steps, at, at + 5)
  check_rid(rid, floor)
  if verb == 'acquire' then check_task(a, b, c) else check_release(c, d) end
  at = at + (verb == 'acquire' and 5 or 6)
end
at = 5
--@include upkeep
--@include acquire_slot
--@include release_slot

-- It changes nothing, and needs memory: a release that comes first must not let an acquire through on a full
-- server (README.md, rule 5).
redis.call('ZADD', K.owned, 'XX', '0', '')
local session = enter(floor, seen)
while steps[at] do
  local verb, rid, a, b, c, d = unpack(steps, at, at + 5)
  local reply
  if not S then
    reply = { EXPIRED, 0 }
  elseif not session then
    reply = conclude_with_grants(EXPIRED)
  elseif verb == 'acquire' then
    reply = conclude_with_grants(acquire_slot(session, rid, a, b, c))
  else
    reply = conclude_with_grants(release_slot(session, rid, a, b, c, d))
  end
  replies[#replies + 1] = reply
  at = at + (verb == 'acquire' and 5 or 6)
end
if S then save() end
return replies
