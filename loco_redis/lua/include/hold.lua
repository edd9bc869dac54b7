-- The one place that gives a slot: the lowest free one, with a new token, to a request that has left
-- the queue; and tells its session.
--@include grant_text

local function hold(r, score, waited, has_body)
  local slot = redis.call('BITPOS', K.slots, 0)
  redis.call('SETBIT', K.slots, slot, 1)
  redis.call('HSET', K.holders, slot, r.id)
  S.fence = math.max(S.fence + 1, S.raw)
  S.held, S.granted = S.held + 1, S.granted + 1
  if S.held > S.peak then S.peak = S.held end
  r.slot, r.token = int(slot), int(S.fence)
  r.score, r.waited, r.since = string.format('%.17g', score), int(waited), int(S.raw)
  r.settled = nil
  write_granted(r)
  local id = owner_of(r.id)
  local session = session_row(id)
  session.delivered, session.changed = session.delivered + 1, true
  if id == SESSION then
    own_grants[#own_grants + 1] = grant_text(r, has_body)
  else
    redis.call('PUBLISH', CHANNEL .. id, grant_text(r, has_body))
  end
end
