-- govern: sets and removes rules (README.md, Rules); the whole fleet obeys at once.
-- ARGV: channel session floor seen rid changes (each `field length|field|value length|value`; an empty value removes)
-- Reply: status serial grants...
-- Statuses: OK AGENT_BUSY (of a tenant that was to be removed) EXPIRED
-- Cost: O(1) a rule; O(rules) for a removal, O(accounts) for `b`, O(N competing) for tenants and trust
-- Keeps: 1-10
local CHANNEL, SESSION, floor, seen, rid, changes = unpack(ARGV)
--@include arguments
check_call(floor, seen)
check_rid(rid, floor)
--@include rule_forms
local rules = read_rules(changes)
--@include upkeep
--@include reply
--@include once
--@include rules

-- Does a tenant have anything queued, waiting or held?
local function is_busy(tenant)
  for _, agent in ipairs(redis.call('HKEYS', K.loads)) do
    if tenant_of(agent) == tenant then return true end
  end
  for _, rid in ipairs(redis.call('HVALS', K.holders)) do
    if tenant_of(read_request(rid).agent) == tenant then return true end
  end
  return false
end

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply_with_grants(OK) end
for field, value in pairs(rules) do
  if string.sub(field, 1, 1) == 't' and value == '' and is_busy(string.sub(field, 2)) then return reply(AGENT_BUSY) end
end
leave_tombstone(rid)
store_rules(rules)
if S.note then
  local fields = {}
  for field in pairs(rules) do fields[#fields + 1] = field end
  table.sort(fields)
  S.note('governed', nil, 'by', SESSION, 'rules', table.concat(fields, '\31'))
end
return reply_with_grants(OK)
