-- What `release` is given beyond the call: `cell` is four digits; a token is only compared.
--@include check_labels

local function check_release(cell, labels)
  check(string.find(cell, '^%d%d%d%d$'), 'histogram cell')
  check_labels(labels)
end
