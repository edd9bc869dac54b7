-- spend: books a cost outside of any lease, or sets what was spent back to nothing.
-- ARGV: channel session floor seen rid scope (`a<agent>`, `t<tenant>`; empty: every agent) cost (empty: set back)
-- Reply: status serial
-- Statuses: OK EXPIRED
-- Cost: O(1); O(accounts) for every agent
-- Keeps: 7
local CHANNEL, SESSION, floor, seen, rid, scope, cost = unpack(ARGV)
--@include arguments
--@include numbers
check_call(floor, seen)
check_rid(rid, floor)
check(scope == '' or string.find(scope, '^[at].') and #scope <= MOST_ID + 1, 'scope')
check(cost == '' or is_number(cost, MOST_COST), 'cost')
--@include upkeep
--@include reply
--@include once
--@include accounts

if not enter(floor, seen) then return reply(EXPIRED) end
if done_before(rid) then return reply(OK) end
leave_tombstone(rid)

for _, name in ipairs(scope ~= '' and { scope } or redis.call('HKEYS', K.accounts)) do
  if scope ~= '' or string.find(name, '^a') then
    local limit, _, period = limit_of(name)
    local a = account_of(name, limit and period or nil)
    a.changed = true
    if cost ~= '' then
      a.spent = a.spent + cost
    else
      a.spent, a.unsettled, a.over = 0, 0, 0
    end
    record_over(name, a)
  end
end
return reply(OK)
