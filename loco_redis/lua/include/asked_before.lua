-- The answer to a request for a slot that has come before; nil if it has not.
--@include once
--@include regrant_text
--@include request_row

local function asked_before(rid, sequence)
  local request = read_request(rid)
  if request and request.state == 'W' then
    --@include answer
    return answer(sequence, 0)
  end
  if request then
    own_grants[#own_grants + 1] = regrant_text(request)
    return GRANTED, S.tick, 0, 0
  end
  if done_before(rid) then return FINISHED, S.tick, 0, 0 end
end
