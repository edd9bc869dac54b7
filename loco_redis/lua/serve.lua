-- serve: asks for a slot and a durable task of whichever agent L(i) puts first.
-- ARGV: channel session floor seen rid
-- Reply: status serial tick wake depth grants... (as of acquire; depth: 0)
-- Statuses: GRANTED QUEUED FINISHED BACKPRESSURE EXPIRED
-- Cost: O(log N), and one choice where a slot is free
-- Keeps: 1-10; a repeat of the same rid changes nothing
local CHANNEL, SESSION, floor, seen, rid = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
--@include upkeep
--@include queue
--@include asked_before
--@include answer
--@include waiting_row

local session = enter(floor, seen)
if not session then return reply_with_grants(EXPIRED) end
local sequence = string.sub(rid, -12) + 0
local status, tick, wait, depth = asked_before(rid, sequence)
if status then return reply_with_grants(status, tick, status == QUEUED and wake() or wait, depth) end
if S.waiting >= MOST_WAITERS then return reply_with_grants(BACKPRESSURE, S.tick, 0, 0) end

S.seq = S.seq + 1
session.last, session.changed = math.max(session.last, sequence), true
redis.call('ZADD', K.owned, '0', rid)
redis.call('ZADD', K.queue, '0', lane_member('', 's', S.seq, S.tick, rid))
write_waiting({ id = rid, lane = 's', seq = S.seq, tick = S.tick, weight = 0, since = S.raw, terms = '', agent = '' })
S.waiting, S.servers = S.waiting + 1, S.servers + 1
status, tick, wait, depth = answer(sequence, 0)
return reply_with_grants(status, tick, status == QUEUED and wake() or wait, depth)
