-- What `acquire` and `submit` are given of a task: `given` is empty or `cost:tokens:labels`.
--@include arguments

local function check_task(agent, weight, given)
  check(agent ~= '' and #agent <= MOST_ID and not string.find(agent, '\0', 1, true), 'agent id')
  if weight ~= '' then
    local number = tonumber(weight)
    check(number and number >= 1000 and number <= MOST_WEIGHT and number % 1 == 0, 'weight')
  end
  if given ~= '' then
    check(#given <= MOST_TEXT and #(string.match(given, '^%d*:%d*:') or given) <= 34, 'admission')
  end
end
