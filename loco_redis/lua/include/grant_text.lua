-- A grant as its client reads it, in a reply or in a hint (README.md).
--@include granted_row

local function grant_text(r, has_body)
  return string.format('%d|%s|%s|%d|%s|%s|%s|%s|%s', string.sub(r.id, -12), r.slot, r.token, r.weight, r.attempt,
    r.waited, r.score, has_body, r.task)
end
