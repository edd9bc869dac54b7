-- Gives a session another lease from now on.
--@include state
--@include session_row

local function renew(id)
  local session = session_row(id)
  session.deadline, session.changed = S.vnow + S.lease, true
  redis.call('ZADD', K.deadlines, session.deadline, id)
  if S.due == 0 or session.deadline < S.due then S.due = session.deadline end
end
