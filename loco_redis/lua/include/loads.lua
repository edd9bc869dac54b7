-- What an agent has queued and waiting, and its place in the structures that `select` reads: `depth` (by Q) for
-- every competing agent; `ready` and `index` for candidates, `parked` for the rest; `idle` for those of the rest
-- that have durable tasks and nobody who waits for one of theirs.
--@include state

local TOP = 9000000000000000 -- above any Q; `TOP - Q` sorts the deepest queue first

local function load_of(agent)
  local load = loads[agent]
  if load then return load end
  load = { agent = agent, q = 0, tick = 0, seq = 0, bound = 0, durable = 0, open = 0,
    place = '' }
  local row = redis.call('HGET', K.loads, agent)
  if row then
    local q, tick, seq, bound, durable, open, lane, weight, place, terms, head =
      string.match(row, '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%a)|(%d+)|([^|]*)|([^|]*)|(.*)$')
    load.q, load.tick, load.seq, load.bound, load.durable = q + 0, tick + 0, seq + 0, bound + 0, durable + 0
    load.open, load.lane, load.weight, load.head = open + 0, lane, weight + 0, head
    load.terms = terms
    load.home, load.place = load.bound + load.open > 0 and K.ready or K.parked, place
    if place ~= '' and load.home == K.ready then
      --@include place
      load.home = home_at(place)
    end
    load.was_q, load.was_tick, load.was_seq = load.q, load.tick, load.seq
    load.was_idle = load.bound + load.open == 0
  end
  loads[agent] = load
  return load
end

-- Sixteen buckets an octave of Q make four digits; the place stands before them.
local function index_member(place, q, tick, seq, agent)
  local mantissa, exponent = math.frexp(q)
  local bucket = exponent * 16 + math.floor(mantissa * 32) - 16
  return place .. string.format('%04d%012d%016d%016d', bucket, tick, TOP - q, seq) .. agent
end

-- Writes a changed load and moves its agent to where it belongs, touching only what differs.
local function store_load(load)
  local agent, q, tick, seq, was_home, was_place = load.agent, load.q, load.tick, load.seq, load.home, load.place
  local competing = load.bound + load.durable > 0
  local home, place = competing and (load.bound + load.open > 0 and K.ready or K.parked) or nil, ''
  local idle = home == K.parked -- it has durable tasks and nobody of its own who asks for one
  if S.G and home then
    --@include place
    place = idle and idle_place_of(load) or place_of(load)
    if place ~= '' and not idle then home = home_at(place) end
  end
  local moved = home ~= was_home or seq ~= load.was_seq or place ~= was_place
  local deeper = not was_home or q ~= load.was_q
  local was_idle = was_home == K.parked and load.was_idle
  local is_in, was_in = home == K.ready or home == K.index, was_home == K.ready or was_home == K.index
  if S.tuning then
    --@include count_load
    if was_home then count_load(load.was_q, load.was_tick, -1) end
    if home then count_load(q, tick, 1) end
  end
  if was_in and (moved or deeper) then
    local member = index_member(was_place, load.was_q, load.was_tick, load.was_seq, agent)
    redis.call('ZREM', K.index, member)
    if was_home == K.index then S.G.sweep(string.sub(member, 1, #was_place + 4)) end
  end
  if was_idle and (moved or deeper or not idle) then
    redis.call('ZREM', K.idle, index_member(was_place, load.was_q, load.was_tick, load.was_seq, agent))
  end
  if was_home == K.index and moved then
    S.G.shift(string.match(was_place, '^:([^:]+)'), agent, load.was_seq, home == K.index and seq)
  elseif was_home and was_home ~= home then
    redis.call('ZREM', was_home, agent)
  end
  if not home then
    if was_home then
      redis.call('HDEL', K.loads, agent)
      redis.call('ZREM', K.depth, agent)
    end
    loads[agent] = nil
    return
  end
  redis.call('HSET', K.loads, agent, string.format('%d|%d|%d|%d|%d|%d|%s|%d|%s|%s|%s', q, tick, seq, load.bound, load.durable,
    load.open, load.lane, load.weight, place, load.terms, load.head))
  if deeper then redis.call('ZADD', K.depth, int(q), agent) end
  if moved and home ~= K.index then redis.call('ZADD', home, int(seq), agent) end
  if moved and home == K.index and was_home ~= K.index then S.G.shift(S.G.line_of(agent), agent, nil, seq) end
  if is_in and (moved or deeper) then
    local member = index_member(place, q, tick, seq, agent)
    redis.call('ZADD', K.index, '0', member)
    if home == K.ready or not S.G.is_closed(S.G.line_of(agent)) then
      redis.call('ZADD', K.buckets, 'LT', int(tick), string.sub(member, 1, #place + 4))
      indexed = true
    end
  end
  if idle and (not was_idle or moved or deeper) then
    redis.call('ZADD', K.idle, '0', index_member(place, q, tick, seq, agent))
  end
  load.home, load.place, load.was_q, load.was_tick, load.was_seq, load.was_idle = home, place, q, tick, seq, idle
end
