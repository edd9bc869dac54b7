-- settle: says what a lease really cost; late, after its holder was given up, too.
-- ARGV: channel session rid token cost
-- Reply: status serial cost (charged for this lease in all)
-- Statuses: OK LATE FINISHED (no such lease, or settled late before) EXPIRED
-- Cost: O(log N). Needs no live session and reaps nobody
-- Keeps: 7
local CHANNEL, SESSION, rid, token, cost = unpack(ARGV)
--@include upkeep
--@include rows
--@include charge

cost = tonumber(cost)
if not read_state() then return { EXPIRED, 0 } end
advance_clock()
local request = read_request(rid)
if request and request.state == 'G' and request.token == token then
  charge(request.agent, cost - (request.settled or 0))
  request.settled = cost
  write_granted(request)
  return reply(OK, cost)
end

local prefix = string.format('%016d|', tonumber(token))
local entry = redis.call('ZRANGEBYLEX', K.unsettled, '[' .. prefix, '(' .. prefix .. '~', 'LIMIT', 0, 1)[1]
if not entry then return reply(FINISHED, 0) end
charge(string.match(entry, '^%d+|%d+|(.*)$'), cost)
redis.call('ZREM', K.unsettled, entry)
return reply(LATE, cost)
