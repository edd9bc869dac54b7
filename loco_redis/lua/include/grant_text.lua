-- A grant as its client reads it, in a reply or in a hint (README.md); the flags are those of its terms.
--@include granted_row

local function grant_text(r, has_body)
  return string.format('%d|%s|%s|%d|%s|%s|%s|%s|%s|%s', string.sub(r.id, -12), r.slot, r.token, r.weight, r.attempt,
    r.waited, r.score, has_body, r.terms == '' and '' or string.match(r.terms, '%a*$'), r.task) ..
    (r.lane == 's' and '|' .. r.agent or '')
end
