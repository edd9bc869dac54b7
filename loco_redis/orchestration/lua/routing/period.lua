-- `renew_budget(period)`: forgets what was spent in a period that is over (us on the server's clock; 0: it has none).
local function renew_budget(period)
  if period + 0 == 0 then return end
  local current = int(math.floor(now / period))
  if redis.call('HGET', STATE, 'period') ~= current then
    redis.call('HSET', STATE, 'period', current, 'spent', '0')
  end
end
