-- What an agent has queued and waiting, and its place in the structures that `select` reads:
-- `depth` (by Q) for every competing agent; `ready` and `index` for candidates, `parked` for the rest.
--@include state

local TOP = 9000000000000000 -- above any Q; `TOP - Q` sorts the deepest queue first

local function load_of(agent)
  local load = loads[agent]
  if load then return load end
  load = { agent = agent, q = 0, tick = 0, seq = 0, bound = 0, durable = 0, open = 0 }
  local row = redis.call('HGET', K.loads, agent)
  if row then
    local q, tick, seq, bound, durable, open, lane, weight, head =
      string.match(row, '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%a)|(%d+)|(.*)$')
    load.q, load.tick, load.seq, load.bound, load.durable = q + 0, tick + 0, seq + 0, bound + 0, durable + 0
    load.open, load.lane, load.weight, load.head = open + 0, lane, weight + 0, head
    load.home = load.bound + load.open > 0 and K.ready or K.parked
    load.was_q, load.was_tick, load.was_seq = load.q, load.tick, load.seq
  end
  loads[agent] = load
  return load
end

-- Sixteen buckets an octave of Q make the first four digits.
local function index_member(q, tick, seq, agent)
  local mantissa, exponent = math.frexp(q)
  local bucket = exponent * 16 + math.floor(mantissa * 32) - 16
  return string.format('%04d%012d%016d%016d', bucket, tick, TOP - q, seq) .. agent
end

-- Writes a changed load and moves its agent to where it belongs, touching only what differs.
local function store_load(load)
  local agent, q, tick, seq, was_home = load.agent, load.q, load.tick, load.seq, load.home
  local home = load.bound + load.open > 0 and K.ready or load.durable > 0 and K.parked or nil
  local moved = home ~= was_home or seq ~= load.was_seq
  local deeper = not was_home or q ~= load.was_q
  if was_home == K.ready and (moved or deeper) then
    redis.call('ZREM', K.index, index_member(load.was_q, load.was_tick, load.was_seq, agent))
  end
  if was_home and was_home ~= home then redis.call('ZREM', was_home, agent) end
  if not home then
    if was_home then
      redis.call('HDEL', K.loads, agent)
      redis.call('ZREM', K.depth, agent)
    end
    loads[agent] = nil
    return
  end
  redis.call('HSET', K.loads, agent, string.format('%d|%d|%d|%d|%d|%d|%s|%d|%s', q, tick, seq, load.bound, load.durable,
    load.open, load.lane, load.weight, load.head))
  if deeper then redis.call('ZADD', K.depth, q, agent) end
  if moved then redis.call('ZADD', home, seq, agent) end
  if home == K.ready and (moved or deeper) then
    local member = index_member(q, tick, seq, agent)
    redis.call('ZADD', K.index, 0, member)
    redis.call('ZADD', K.buckets, 'LT', tick, string.sub(member, 1, 4))
    indexed = true
  end
  load.home, load.was_q, load.was_tick, load.was_seq = home, q, tick, seq
end
