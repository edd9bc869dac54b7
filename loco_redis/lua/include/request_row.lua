-- Rows of `requests` (README.md, Rows): waiting or granted.
--@include keys

local function read_request(rid)
  local row = redis.call('HGET', K.requests, rid)
  if not row then return nil end
  local r = { id = rid }
  if string.sub(row, 1, 1) == 'W' then
    r.state = 'W'
    r.lane, r.seq, r.tick, r.weight, r.since, r.terms, r.agent =
      string.match(row, '^W|(%a)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|(.*)$')
    r.seq, r.tick, r.weight = r.seq + 0, r.tick + 0, r.weight + 0
  else
    r.state = 'G'
    r.lane, r.slot, r.token, r.weight, r.attempt, r.waited, r.score, r.settled, r.since, r.task, r.terms,
      r.agent =
      string.match(row, '^G|(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|(%d*)|(%d+)|([^|]*)|([^|]*)|(.*)$')
    r.weight, r.settled = r.weight + 0, tonumber(r.settled)
  end
  return r
end

local function drop_request(rid)
  redis.call('HDEL', K.requests, rid)
  redis.call('ZREM', K.owned, rid)
end
