-- settle: says what a lease really cost; late, after its holder was given up, too.
-- ARGV: channel session rid token cost tokens (empty: as estimated) labels (whom the cost is for)
-- Reply: status serial cost (charged for this lease in all)
-- Statuses: OK LATE FINISHED (no such lease, or settled late before) EXPIRED
-- Cost: O(log N). Needs no live session. Works on a full server
-- Keeps: 7
local CHANNEL, SESSION, rid, token, cost, tokens, labels = unpack(ARGV)
--@include check_labels
--@include numbers
check(is_number(token, MOST_DEPTH) and is_number(cost, MOST_COST) and (tokens == '' or is_number(tokens, MOST_COST)), 'settlement')
check_labels(labels)
--@include upkeep
--@include reply
--@include request_row
--@include charge
--@include accounts
--@include attribute

cost = tonumber(cost)
redis.call('HDEL', K.vars, '') -- gets through on a full server (README.md, rule 5)
begin()
if not S then return reply(EXPIRED) end
local request = read_request(rid)
if request and request.state == 'G' and request.token == token then
  --@include granted_row
  local more = cost - (request.settled or 0)
  local reserved, estimated, flags = read_terms(request.terms, request.weight)
  charge(request.agent, more)
  attribute(request.agent, labels, more)
  post(request.agent, flags, request.settled and 0 or -reserved, more, 0)
  request.settled = cost
  if tokens ~= '' then
    if S.G and S.G.correct_tokens then S.G.correct_tokens(estimated, tokens + 0) end
    request.terms = write_terms(reserved, tokens + 0, flags)
  end
  write_granted(request)
  return reply(OK, cost)
end

local prefix = string.format('%016d|', token)
local entry = redis.call('ZRANGEBYLEX', K.unsettled, '[' .. prefix, '(' .. prefix .. '~', 'LIMIT', '0', '1')[1]
if not entry then return reply(FINISHED, 0) end
local reserved, flags, agent = string.match(entry, '^%d+|(%d+)|(%a*)|(.*)$')
charge(agent, cost)
attribute(agent, labels, cost)
if string.find(flags, 't', 1, true) and redis.call('HEXISTS', K.rules, 't' .. tenant_of(agent)) == 0 then
  flags = string.gsub(flags, 't', '')
end
post(agent, flags, 0, cost, -reserved)
redis.call('ZREM', K.unsettled, entry)
return reply(LATE, cost)
