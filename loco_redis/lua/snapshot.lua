-- snapshot: the whole scheduler at one moment.
-- ARGV: channel session limit (of each list)
-- Reply: status serial [vars] dead [agents] [holders] [waiters] [sessions]; rows as the loops below build them
-- Statuses: OK UNCONFIGURED
-- Cost: O(limit). Writes nothing
-- Keeps: all
local CHANNEL, SESSION, limit = unpack(ARGV)
--@include status
--@include now
--@include session_row
--@include describe

read_state()
if not S then return { UNCONFIGURED, 0 } end
limit = tonumber(limit)
local vars = { S.tick, string.format('%.17g', S.alpha), S.capacity, S.max_waiters, S.lease, S.version, S.peak, S.granted,
  S.released, S.reclaimed, S.limit, math.max((S.hold or 0) - S.vnow, 0) }
local a, b = coefficients(0)
local held = holding()

-- Those who compete, deepest first; then holders and registered agents with nothing queued.
local agents, seen = {}, {}
local function add(names)
  for _, name in ipairs(names) do
    if #agents >= limit then return end
    if not seen[name] then
      seen[name] = true
      agents[#agents + 1] = describe(name, a, b, held)
    end
  end
end
add(redis.call('ZREVRANGE', K.depth, 0, limit - 1))
local idle = {}
for name in pairs(held) do idle[#idle + 1] = name end
table.sort(idle)
add(idle)
add(redis.call('HKEYS', K.agents))

local holders, waiters, alive = {}, {}, {}
local held_slots = redis.call('HGETALL', K.holders)
for i = 1, math.min(#held_slots, 2 * limit), 2 do
  local r = read_request(held_slots[i + 1])
  holders[#holders + 1] = { r.slot, r.token, r.agent, r.id, r.task, r.weight, r.attempt, r.waited, r.score,
    math.max(NOW - r.since, 0) }
end
for _, rid in ipairs(S.waiting > 0 and redis.call('ZRANGE', K.owned, 0, limit + S.held - 1) or {}) do
  local r = read_request(rid)
  if r.state == 'W' and #waiters < limit then
    waiters[#waiters + 1] = { r.agent, rid, r.weight, S.tick - r.tick, r.seq }
  end
end
for _, id in ipairs(redis.call('ZRANGE', K.deadlines, 0, limit - 1)) do
  local session = session_row(id)
  alive[#alive + 1] = { id, session.info, session.deadline - S.vnow }
end
return { OK, S.serial, vars, redis.call('ZCARD', K.dead), agents, holders, waiters, alive }
