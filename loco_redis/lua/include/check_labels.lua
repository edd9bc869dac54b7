-- Whom a cost is for: empty, or `session\31team\31workflow\31model`.
--@include arguments

local function check_labels(labels)
  local form = '^[^\31]*\31[^\31]*\31[^\31]*\31[^\31]*$'
  check(labels == '' or #labels <= 4 * MOST_ID + 3 and string.find(labels, form), 'attribution')
end
