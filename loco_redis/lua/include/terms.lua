-- What a request or a durable task was admitted with: `cost:tokens:flags` (README.md, Rows), or nothing.

local function read_terms(terms, weight)
  local cost, tokens, flags = string.match(terms, '^(%d+):(%d+):(%a*)$')
  return tonumber(cost) or weight, tonumber(tokens) or 0, flags or ''
end

-- Of a client's `cost:tokens:labels`, where nothing is reserved.
local function bare_terms(given)
  local cost, tokens = string.match(given, '^(%d+):(%d*):')
  return cost and string.format('%s:%s:', cost, tokens == '' and '0' or tokens) or ''
end

local function write_terms(cost, tokens, flags)
  return string.format('%d:%d:%s', cost, tokens, flags)
end
