-- The keys of a plan and the rows of its steps, shared by the scripts plan_*.
-- A row: state|waits|attempt|failures|fence|owner|due|started|ended; times in us of the server.
-- `waits`: dependencies that have not ended. `due`: when a step may be claimed; of one that runs: when
-- its claim expires. The same stands in the zset DUE, of steps that can be claimed now or later.
local PLAN, STEPS, GRAPH, DUE, RESULTS, ERRORS = unpack(KEYS)
local ROW = '^(%a+)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)|(%d+)|(%d+)$'

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function whole(number)
  return string.format('%d', number)
end

local function parse_step(index, row)
  local s = { index = index }
  s.state, s.waits, s.attempt, s.failures, s.fence, s.owner, s.due, s.started, s.ended = string.match(row, ROW)
  return s
end

local function read_step(index)
  local row = redis.call('HGET', STEPS, index)
  return row and parse_step(index, row)
end

local function write_step(s)
  local row = { s.state, whole(s.waits), whole(s.attempt), whole(s.failures), s.fence, s.owner, whole(s.due),
    whole(s.started), whole(s.ended) }
  redis.call('HSET', STEPS, s.index, table.concat(row, '|'))
end

-- A step can be claimed from `due` on.
local function offer(s, due)
  s.due = due
  redis.call('ZADD', DUE, whole(due), s.index)
  write_step(s)
end

-- A step has ended for good.
local function close_step(s, state, now)
  s.state, s.due, s.ended = state, 0, now
  redis.call('ZREM', DUE, s.index)
  redis.call('HINCRBY', PLAN, 'left', -1)
  write_step(s)
end

local function close_plan(state, now)
  redis.call('HSET', PLAN, 'state', state, 'ended', whole(now))
  local ttl = redis.call('HGET', PLAN, 'ttl')
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
end
