-- Ends expired sessions, the earliest deadline first, as far as the units go.
--@include end_session

local function reap()
  while reaped < UNITS do
    local first = redis.call('ZRANGE', K.deadlines, '0', '0', 'WITHSCORES')
    S.due = (first[2] or 0) + 0
    if S.due == 0 or S.due > S.vnow then return end
    local units, is_gone = end_session(first[1], UNITS - reaped)
    reaped = reaped + units
    if is_gone and S.note then S.note('expired', nil, 'session', first[1]) end
  end
end
