-- Writes the accounts that changed (README.md, Rows); one without anything in it has no row.
local function write_accounts()
  for name, a in pairs(S.accounts) do
    if a.changed and a.spent + a.unsettled + a.reserved + a.over == 0 then
      redis.call('HDEL', K.accounts, name)
    elseif a.changed then
      redis.call('HSET', K.accounts, name, string.format('%d|%d|%d|%d|%d|%s', a.spent, a.unsettled, a.reserved, a.over,
        a.window, a.period))
    end
  end
  S.accounts = nil
end
