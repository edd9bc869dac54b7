-- acquire: asks for a slot for an agent, with a task of its own (weight) or for the agent's oldest durable task.
-- ARGV: channel session floor seen rid agent weight
-- Reply: status serial tick grants... (own requests granted in this script; GRANTED: this one among them)
-- Statuses: GRANTED QUEUED FINISHED BACKPRESSURE EXPIRED
-- Cost: O(log N), and one choice where a slot is free
-- Keeps: 1-10; a repeat of the same rid changes nothing
local CHANNEL, SESSION, floor, seen, rid, agent, weight = unpack(ARGV)
--@include upkeep
--@include queue

local session = enter(floor, seen)
if not session then return reply(EXPIRED) end

local sequence = string.sub(rid, -12) + 0
if sequence <= math.max(session.last, session.tombs, session.floor) then -- asked for or cancelled before?
  --@include once
  --@include regrant_text
  --@include request_row
  local request = read_request(rid)
  if request and request.state == 'W' then return reply_with_grants(QUEUED, S.tick) end
  if request then
    own_grants[#own_grants + 1] = regrant_text(request)
    return reply_with_grants(GRANTED, S.tick)
  end
  if done_before(rid) then return reply_with_grants(FINISHED, S.tick) end
end

local room = S.held < S.capacity
if not room and S.max_waiters >= 0 and S.waiting >= S.max_waiters then
  return reply_with_grants(BACKPRESSURE, S.tick)
end

local load = load_of(agent)
local open = weight == '' and load.durable > load.open
S.seq = S.seq + 1
local request = { id = rid, lane = open and 'o' or 'b', seq = S.seq, tick = S.tick, agent = agent,
  weight = open and 0 or tonumber(weight) or 1000 }
session.last, session.changed = math.max(session.last, sequence), true
redis.call('ZADD', K.owned, 0, rid)
if room and not open then
  --@include grant_at_once
  grant_at_once(request)
  return reply_with_grants(GRANTED, S.tick)
end

--@include waiting_row
write_waiting(request)
S.waiting = S.waiting + 1
if open then
  --@include open_lane
  add_open(load, request.seq, request.tick, rid)
else
  add_task(load, 'b', request.seq, request.tick, request.weight, rid)
end
store_load(load)
return reply_with_grants(room and GRANTED or QUEUED, S.tick)
