-- Lane `o`: open requests, each backed by one queued durable task of its agent.
--@include queue
--@include dequeue

local function add_open(load, seq, tick, rid)
  redis.call('ZADD', K.queue, '0', lane_member(load.agent, 'o', seq, tick, rid))
  load.open = load.open + 1
end

local function take_open(load, seq, tick, rid)
  redis.call('ZREM', K.queue, lane_member(load.agent, 'o', seq, tick, rid))
  load.open = load.open - 1
end
