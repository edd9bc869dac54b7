-- What an agent has queued and waiting, and its place in the structures that `select` reads:
-- `depth` (by Q) for every competing agent; `ready` and `index` for candidates, `parked` for the rest.
--@include state

local TOP = 9000000000000000 -- above any Q; `TOP - Q` sorts the deepest queue first
local loads = {}

local function load_of(agent)
  local load = loads[agent]
  if load then return load end
  load = { agent = agent, q = 0, tick = 0, seq = 0, bound = 0, durable = 0, open = 0 }
  local row = redis.call('HGET', K.loads, agent)
  if row then
    local q, tick, seq, bound, durable, open = string.match(row, '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$')
    load.q, load.tick, load.seq = tonumber(q), tonumber(tick), tonumber(seq)
    load.bound, load.durable, load.open = tonumber(bound), tonumber(durable), tonumber(open)
    load.was = { q = load.q, tick = load.tick, seq = load.seq, candidate = load.bound + load.open > 0 }
  end
  loads[agent] = load
  return load
end

-- Sixteen buckets an octave of Q; the first four digits of an index member.
local function bucket_of(q)
  local mantissa, exponent = math.frexp(q)
  return string.format('%04d', exponent * 16 + math.floor(mantissa * 32) - 16)
end

-- No Q in the bucket is above this.
local function bucket_ceiling(bucket)
  local number = tonumber(bucket)
  local step = number % 16
  return math.ldexp((step + 17) / 32, (number - step) / 16)
end

local function index_member(place, agent)
  return bucket_of(place.q) .. string.format('%012d%016d%016d', place.tick, TOP - place.q, place.seq) .. agent
end

local function leave_structures(agent, was)
  redis.call('HDEL', K.loads, agent)
  redis.call('ZREM', K.depth, agent)
  redis.call('ZREM', was.candidate and K.ready or K.parked, agent)
  if was.candidate then redis.call('ZREM', K.index, index_member(was, agent)) end
end

-- Writes a changed load and moves its agent to where it belongs, touching only what differs.
local function store_load(load)
  local agent, was = load.agent, load.was
  if load.bound + load.durable == 0 then
    if was then leave_structures(agent, was) end
    loads[agent] = nil
    return
  end
  local is = { q = load.q, tick = load.tick, seq = load.seq, candidate = load.bound + load.open > 0 }
  local old_home = was and (was.candidate and K.ready or K.parked)
  local home = is.candidate and K.ready or K.parked
  local moved = not was or was.q ~= is.q or was.seq ~= is.seq or was.candidate ~= is.candidate
  redis.call('HSET', K.loads, agent,
    string.format('%d|%d|%d|%d|%d|%d', load.q, load.tick, load.seq, load.bound, load.durable, load.open))
  if not was or was.q ~= is.q then redis.call('ZADD', K.depth, is.q, agent) end
  if old_home and old_home ~= home then redis.call('ZREM', old_home, agent) end
  if old_home ~= home or was.seq ~= is.seq then redis.call('ZADD', home, is.seq, agent) end
  if moved and was and was.candidate then redis.call('ZREM', K.index, index_member(was, agent)) end
  if moved and is.candidate then
    indexed = true
    redis.call('ZADD', K.index, 0, index_member(is, agent))
    redis.call('ZADD', K.buckets, 'LT', is.tick, bucket_of(is.q))
  end
  load.was = is
end
