-- gather: a slot of each of several resources of one group, or none of them and a place in the group's line.
-- It runs the core's own `acquire` for each, and `cancel` for what it had when one is not granted.
-- KEYS: line, then all keys of each resource in turn
-- ARGV: channel (a pool's is that and its id) id ttl (us) agent weight alpha stand (1: wait in the line) place (of an earlier reply, or empty) names (joined by a
--   comma) keys_each acquire_args cancel_args; then for each resource what `acquire` and what `cancel` are given
-- Reply: outcome calls, and by outcome: 1 (has all); 2 length place (waits, or would); 3 number (of the resource that refused)
--   calls: for each that was made a list: number of the resource, is_cancel, the script's own reply
-- Cost: O(resources); once all are free O(line). Who finds all free and others before it tells those. Repeats with the same request ids change nothing
local function acquire(KEYS, ARGV)
--@script acquire
end
local function cancel(KEYS, ARGV)
--@script cancel
end
--@include line
local LINE = KEYS[1]
local channel, id, ttl, agent, weight, alpha, stand, place, names, keys_each, acquire_args, cancel_args = unpack(ARGV, 1, 12)
local GRANTED, QUEUED, BACKPRESSURE = 1, 2, 5

local function part(list, from, count)
  return { unpack(list, from, from + count - 1) }
end

local parts, all_free, is_repeat = {}, true, false
for name in string.gmatch(names, '[^,]+') do
  local at = 13 + #parts * (acquire_args + cancel_args)
  local keys = part(KEYS, 2 + #parts * keys_each, keys_each)
  local p = { name = name, keys = keys, args = part(ARGV, at, acquire_args), undo = part(ARGV, at + acquire_args, cancel_args) }
  p.free = (function(KEYS) return free_slots(K.vars, K.holders) end)(keys)
  is_repeat = is_repeat or (function(KEYS) return redis.call('HEXISTS', K.requests, p.args[5]) == 1 end)(keys)
  all_free = all_free and p.free > 0
  parts[#parts + 1] = p
end

local row = redis.call('HGET', LINE, id)
local figures = redis.call('HMGET', LINE, '#seq', '#tick', '#alpha')
local seq, tick = (figures[1] or 0) + 0, (figures[2] or 0) + 0
local me = row and read_waiter(id, row)
  or { id = id, seq = seq + 1, tick = tick, weight = weight + 0, names = names, agent = agent }
if not row and place ~= '' then
  local its_seq, its_tick = string.match(place, '^(%d+)|(%d+)$')
  me.seq, me.tick = its_seq + 0, math.min(its_tick, tick)
end

-- Of each resource one slot is spoken for by each of those before it who want it.
local function is_its_turn()
  local waiters, free = read_line(LINE), {}
  waiters[id] = me
  weigh(waiters, tick, (figures[3] or alpha) + 0)
  local enough = true
  for _, p in ipairs(parts) do
    local left = p.free
    for _, w in pairs(waiters) do
      if w ~= me and is_before(w, me) and string.find(',' .. w.names .. ',', ',' .. p.name .. ',', 1, true) then
        left = left - 1
      end
    end
    free[p.name], enough = p.free, enough and left > 0
  end
  if not enough then tell(waiters, free, channel) end -- the order may have changed since somebody was told
  return enough
end

local calls, refused, waits = {}, nil, false
if is_repeat or all_free and is_its_turn() then
  for number, p in ipairs(parts) do
    local reply = acquire(p.keys, p.args)
    calls[#calls + 1] = { number, 0, reply }
    if reply[1] ~= GRANTED then
      waits = reply[1] == QUEUED or reply[1] == BACKPRESSURE
      refused = number
      break
    end
  end
  if not refused then
    redis.call('HDEL', LINE, id)
    tidy(LINE)
    return { 1, calls }
  end
  for number = 1, refused do
    calls[#calls + 1] = { number, 1, cancel(parts[number].keys, parts[number].undo) }
  end
  if not waits then
    redis.call('HDEL', LINE, id)
    tidy(LINE)
    return { 3, calls, refused }
  end
end

if stand == '1' then
  redis.call('HSET', LINE, '#seq', int(math.max(seq, me.seq)), '#tick', int(tick), '#alpha', figures[3] or alpha, id,
    table.concat({ int(me.seq), int(me.tick), weight, int(NOW + ttl), names, agent }, '|'))
end
return { 2, calls, redis.call('HLEN', LINE), int(me.seq) .. '|' .. int(me.tick) }
