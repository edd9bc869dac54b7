-- Rows of `tasks`: durable tasks, with their bodies. Flags: 1 it has a body, 2 an order (orders.lua).
--@include keys

local function read_task(id)
  local row = redis.call('HGET', K.tasks, id)
  if not row then return nil end
  local t = { id = id }
  t.state, t.seq, t.tick, t.weight, t.attempt, t.max_attempts, t.flags, t.terms, t.agent =
    string.match(row, '^(%a)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d)|([^|]*)|(.*)$')
  t.seq, t.tick, t.weight, t.attempt, t.max_attempts = t.seq + 0, t.tick + 0, t.weight + 0, t.attempt + 0,
    t.max_attempts + 0
  t.flags = t.flags + 0
  return t
end

local function write_task(t)
  redis.call('HSET', K.tasks, t.id, string.format('%s|%d|%d|%d|%d|%d|%d|%s|', t.state, t.seq, t.tick, t.weight, t.attempt,
    t.max_attempts, t.flags, t.terms) .. t.agent)
end

local function drop_task(id)
  redis.call('HDEL', K.tasks, id)
  redis.call('HDEL', K.bodies, id)
end
