-- A task goes back into its queue: what it will cost is reserved again.
--@include accounts

local function reserve(agent, terms)
  local cost, _, flags = read_terms(terms, 0)
  post(agent, flags, cost, 0, 0)
end
