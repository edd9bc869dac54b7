-- snapshot: the whole scheduler at one moment.
-- ARGV: channel session limit (of each list)
-- Reply: status serial [numbers] [agents] [holders] [waiters] [sessions]; numbers and rows as they are built below
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
-- As of now, as the next writing script will have it (upkeep.lua).
local quiet = math.max(NOW - S.raw, 0)
if quiet <= S.lease / 2 then S.vnow = S.vnow + quiet end
-- Of a rate's burst, in us: what may be granted at once (below 0: overdrawn).
local function left(at, burst, limit)
  return limit > 0 and math.ceil(burst * 60000000 / limit) - math.max(at - S.vnow, 0) or 0
end
local requests_left = S.features and left(S.requests_at, S.rpm_burst, S.rpm) or 0
local tokens_left = S.features and left(S.tokens_at, S.tpm_burst, S.tpm) or 0
local numbers = { S.tick, string.format('%.17g', S.alpha), S.set_alpha, S.capacity, S.max_waiters, S.lease, S.version, S.peak, S.granted,
  S.released, S.reclaimed, S.limit, math.max((S.hold or 0) - S.vnow, 0), requests_left, tokens_left, quiet, S.vnow, S.held,
  S.waiting - S.servers, S.servers }
for _, count in ipairs({ redis.call('ZCARD', K.depth), redis.call('HLEN', K.agents), redis.call('ZCARD', K.deadlines),
  redis.call('HLEN', K.tasks), redis.call('ZCARD', K.dead), redis.call('ZCARD', K.later), NOW }) do
  numbers[#numbers + 1] = count
end
local stored = redis.call('HMGET', K.vars, 'born', 'rpm', 'rpm_burst', 'tpm', 'tpm_burst', 'adaptive', 'auto_tune', 'events', 'paused')
for i = 1, 9 do numbers[#numbers + 1] = (stored[i] or 0) + 0 end
if limit == 0 then return { OK, S.serial, numbers, {}, {}, {}, {} } end
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
add(redis.call('ZREVRANGE', K.depth, '0', limit - 1))
local idle = {}
for name in pairs(held) do idle[#idle + 1] = name end
table.sort(idle)
add(idle)
if #agents < limit then add(redis.call('HKEYS', K.agents)) end

local holders, waiters, alive = {}, {}, {}
local held_slots = redis.call('HGETALL', K.holders)
for i = 1, math.min(#held_slots, 2 * limit), 2 do
  local r = read_request(held_slots[i + 1])
  holders[#holders + 1] = { r.slot, r.token, r.agent, r.id, r.task, r.weight, r.attempt, r.waited, r.score,
    math.max(NOW - r.since, 0) }
end
for _, rid in ipairs(S.waiting > 0 and redis.call('ZRANGE', K.owned, '0', limit + S.held + S.servers - 1) or {}) do
  local r = read_request(rid)
  if r.state == 'W' and r.lane ~= 's' and #waiters < limit then
    waiters[#waiters + 1] = { r.agent, rid, r.weight, S.tick - r.tick, r.seq, math.max(NOW - r.since, 0) }
  end
end
for _, id in ipairs(redis.call('ZRANGE', K.deadlines, '0', limit - 1)) do
  local session = session_row(id)
  alive[#alive + 1] = { id, session.info, session.deadline - S.vnow }
end
return { OK, S.serial, numbers, agents, holders, waiters, alive }
