-- The one place that gives a slot, with a new token, to a request that has left the queue; and tells
-- its session. The slot is the one that this script freed last, if any, else the lowest free one.
--@include grant_text

local function hold(r, score, waited, has_body)
  local at, slot = #freed, nil
  while at > 0 and freed[at] + 0 >= S.capacity do at = at - 1 end -- capacity may have been lowered
  if at > 0 then
    slot = table.remove(freed, at)
  else
    slot = int(redis.call('BITPOS', K.slots, '0'))
    redis.call('SETBIT', K.slots, slot, '1')
  end
  redis.call('HSET', K.holders, slot, r.id)
  S.fence = math.max(S.fence + 1, S.raw)
  S.held, S.granted = S.held + 1, S.granted + 1
  if S.G and S.G.count_lease then S.G.count_lease(r.agent, 1) end
  if S.G and S.G.take_rate then S.G.take_rate(r.terms, 1) end
  if S.held > S.peak then S.peak = S.held end
  r.slot, r.token, r.score = slot, int(S.fence), string.format('%.17g', score)
  r.waited, r.since, r.settled = int(waited), int(S.raw), nil
  write_granted(r)
  if S.note then
    S.note('granted', r.agent, 'id', r.id, 'task', r.task, 'slot', slot, 'token', r.token, 'weight', int(r.weight), 'score',
      r.score, 'waited', r.waited)
  end
  local id = string.sub(r.id, 1, -14)
  local session = session_row(id)
  session.delivered, session.changed = session.delivered + 1, true
  if id == SESSION then
    own_grants[#own_grants + 1] = grant_text(r, has_body)
  else
    redis.call('PUBLISH', CHANNEL .. id, grant_text(r, has_body))
  end
end
