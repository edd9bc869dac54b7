-- The row of a waiting request.
--@include keys

local function write_waiting(r)
  redis.call('HSET', K.requests, r.id, string.format('W|%s|%d|%d|%d|%d|%s|', r.lane, r.seq, r.tick, r.weight,
    r.since, r.terms) .. r.agent)
end
