-- The lanes of an agent's queue, oldest first: `b` tasks bound to their waiting request, `d` durable
-- tasks, `o` open requests (which bring no task of their own: open.lua).
--@include state
--@include rows
--@include loads

local function lane_member(agent, lane, seq, tick, id)
  return agent .. '\0' .. lane .. string.format('%016d%012d', seq, tick) .. id
end

-- The first entry of a lane, or nil; `last` asks for the newest instead.
local function lane_head(agent, lane, last)
  local from, to = '[' .. agent .. '\0' .. lane, '(' .. agent .. '\0' .. lane .. '~'
  local found
  if last then
    found = redis.call('ZREVRANGEBYLEX', K.queue, to, from, 'LIMIT', 0, 1)[1]
  else
    found = redis.call('ZRANGEBYLEX', K.queue, from, to, 'LIMIT', 0, 1)[1]
  end
  if not found then return nil end
  local at = #agent + 3
  return { seq = tonumber(string.sub(found, at, at + 15)), tick = tonumber(string.sub(found, at + 16, at + 27)),
    id = string.sub(found, at + 28), member = found }
end

local function find_head(load)
  local head = load.bound > 0 and lane_head(load.agent, 'b') or nil
  local durable = load.durable > 0 and lane_head(load.agent, 'd') or nil
  if durable and (not head or durable.seq < head.seq) then head = durable end
  if head then load.seq, load.tick = head.seq, head.tick end
end

-- Puts a task into lane `b` or `d` and counts it into Q. The caller stores the load.
local function add_task(load, lane, seq, tick, weight, id)
  redis.call('ZADD', K.queue, 0, lane_member(load.agent, lane, seq, tick, id))
  if load.bound + load.durable == 0 or seq < load.seq then load.seq, load.tick = seq, tick end
  load.q = load.q + weight
  if lane == 'b' then load.bound = load.bound + 1 else load.durable = load.durable + 1 end
end

local function take_task(load, lane, seq, tick, weight, id)
  redis.call('ZREM', K.queue, lane_member(load.agent, lane, seq, tick, id))
  load.q = load.q - weight
  if lane == 'b' then load.bound = load.bound - 1 else load.durable = load.durable - 1 end
  if seq == load.seq then find_head(load) end
end
