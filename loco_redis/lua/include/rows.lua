-- The packed rows of `requests` and `tasks` (README.md, Rows).
--@include keys

local function read_request(rid)
  local row = redis.call('HGET', K.requests, rid)
  if not row then return nil end
  local r = { id = rid }
  if string.sub(row, 1, 1) == 'W' then
    r.state = 'W'
    r.lane, r.seq, r.tick, r.weight, r.agent = string.match(row, '^W|(%a)|(%d+)|(%d+)|(%d+)|(.*)$')
    r.seq, r.tick, r.weight = tonumber(r.seq), tonumber(r.tick), tonumber(r.weight)
  else
    r.state = 'G'
    r.lane, r.slot, r.token, r.weight, r.attempt, r.waited, r.score, r.settled, r.since, r.task, r.agent =
      string.match(row, '^G|(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|(%d*)|(%d+)|([^|]*)|(.*)$')
    r.weight, r.settled = tonumber(r.weight), tonumber(r.settled)
  end
  return r
end

local function write_waiting(r)
  redis.call('HSET', K.requests, r.id, string.format('W|%s|%d|%d|%d|', r.lane, r.seq, r.tick, r.weight) .. r.agent)
end

local function write_granted(r)
  local settled = r.settled and int(r.settled) or ''
  redis.call('HSET', K.requests, r.id, string.format('G|%s|%s|%s|%d|%s|%s|%s|%s|%s|%s|', r.lane, r.slot, r.token, r.weight,
    r.attempt, r.waited, r.score, settled, r.since, r.task) .. r.agent)
end

local function drop_request(rid)
  redis.call('HDEL', K.requests, rid)
  redis.call('ZREM', K.owned, rid)
end

local function read_task(id)
  local row = redis.call('HGET', K.tasks, id)
  if not row then return nil end
  local t = { id = id }
  t.state, t.seq, t.tick, t.weight, t.attempt, t.max_attempts, t.has_body, t.agent =
    string.match(row, '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d)|(.*)$')
  t.seq, t.tick, t.weight = tonumber(t.seq), tonumber(t.tick), tonumber(t.weight)
  t.attempt, t.max_attempts = tonumber(t.attempt), tonumber(t.max_attempts)
  return t
end

local function write_task(t)
  redis.call('HSET', K.tasks, t.id, string.format('%s|%d|%d|%d|%d|%d|%s|', t.state, t.seq, t.tick, t.weight, t.attempt,
    t.max_attempts, t.has_body) .. t.agent)
end

local function drop_task(id)
  redis.call('HDEL', K.tasks, id)
  redis.call('HDEL', K.bodies, id)
end
