-- The row of a granted request.
--@include keys

local function write_granted(r)
  local settled = r.settled and int(r.settled) or ''
  redis.call('HSET', K.requests, r.id, string.format('G|%s|%s|%s|%d|%s|%s|%s|%s|%s|%s|%s|', r.lane, r.slot, r.token,
    r.weight, r.attempt, r.waited, r.score, settled, r.since, r.task, r.terms) .. r.agent)
end
