-- throttle: the provider has said that it is too much: nobody is granted for a while, and fewer at once.
-- ARGV: channel session floor seen rid token pause (us)
-- Reply: status serial pause (that is left now) limit (slots that may be held)
-- Statuses: OK EXPIRED
-- Cost: O(1)
-- Keeps: 1-10; leases that were granted before the last cut do not cut again
local CHANNEL, SESSION, floor, seen, rid, token, pause = unpack(ARGV)
--@include arguments
--@include numbers
check_call(floor, seen)
check_rid(rid, floor)
check(is_number(token, MOST_DEPTH) and is_number(pause, MOST_COST), 'pause')
--@include upkeep
--@include reply
--@include once
--@include features

if not enter(floor, seen) then return reply(EXPIRED) end
if not done_before(rid) then
  leave_tombstone(rid)
  if not S.features or not string.find(S.features, 'h', 1, true) then set_feature('h', true) end
  S.hold = math.max(S.hold, S.vnow + pause)
  if string.find(S.features, 'x', 1, true) and token + 0 > S.cut then
    local effective = S.effective > 0 and math.min(S.effective, 1000 * S.capacity) or 1000 * S.capacity
    S.effective, S.cut = math.max(math.floor(effective / 2), 1000), S.fence
    S.limit = limit_now()
  end
  S.G = nil
  --@include governance
  if S.note then S.note('throttled', nil, 'pause', pause, 'limit', int(S.limit), 'token', token) end
end
return reply(OK, math.max((S.hold or 0) - S.vnow, 0), S.limit)
