-- The resource's settings as a client gives them; an empty one is not given.
--@include arguments
--@include numbers

local function check_settings(numbers, alpha, max_waiters)
  for _, value in ipairs(numbers) do check(value == '' or is_number(value, MOST_COST), 'setting') end
  check(alpha == '' or string.find(alpha, '^[%d.e-]+$') and #alpha <= 32 and alpha + 0 >= 0 and alpha + 0 <= 1, 'alpha')
  check(max_waiters == '' or max_waiters == '-1' or is_number(max_waiters, MOST_COST), 'setting')
end
