-- settle: says what a lease really cost; late, after its holder was given up, too.
-- ARGV: channel session rid token cost
-- Reply: status serial cost (charged for this lease in all)
-- Statuses: OK LATE FINISHED (no such lease, or settled late before) EXPIRED
-- Cost: O(log N). Needs no live session
-- Keeps: 7
local CHANNEL, SESSION, rid, token, cost = unpack(ARGV)
--@include upkeep
--@include request_row
--@include charge

cost = tonumber(cost)
begin()
if not S then return reply(EXPIRED) end
local request = read_request(rid)
if request and request.state == 'G' and request.token == token then
  --@include granted_row
  charge(request.agent, cost - (request.settled or 0))
  request.settled = cost
  write_granted(request)
  return reply(OK, cost)
end

local prefix = string.format('%016d|', token)
local entry = redis.call('ZRANGEBYLEX', K.unsettled, '[' .. prefix, '(' .. prefix .. '~', 'LIMIT', 0, 1)[1]
if not entry then return reply(FINISHED, 0) end
charge(string.match(entry, '^%d+|%d+|(.*)$'), cost)
redis.call('ZREM', K.unsettled, entry)
return reply(LATE, cost)
