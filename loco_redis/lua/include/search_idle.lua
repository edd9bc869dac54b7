-- Finds the best agent whose durable tasks wait for whoever serves any, and compares it with the best of those who
-- have a request waiting. Members of `idle` look and are sorted as those of `index`; as there is no `buckets` for
-- them, each bucket's first member says how old it is. Of a bucket's members of one tick the first is the best, so the
-- others are passed over; and so is who is at a cap.
-- Cost: about (buckets + ticks read).
--@include loads

-- `best` and its score: whom to beat, or nil.
local function search_idle(a, b, max_q, best, best_score)
  local best_seq = best and load_of(best).seq
  if not best then best_score = -1 end
  local from = '-'
  while true do
    local member = redis.call('ZRANGEBYLEX', K.idle, from, '+', 'LIMIT', '0', '1')[1]
    if not member then return best, best and best_score end
    local at = string.sub(member, 1, 1) == ':' and 9 or 4 -- `::percent` may stand before the bucket
    local bucket, m = string.sub(member, 1, at), at == 9 and string.sub(member, 3, 5) / 100 or 1
    local digits = string.sub(bucket, -4) + 0
    local ceiling = math.min(max_q, math.ldexp((digits % 16 + 17) / 32, (digits - digits % 16) / 16))
    while member do
      local tick = string.sub(member, at + 1, at + 12) + 0
      if m * (a * ceiling + b * (S.tick - tick)) < best_score then break end
      local agent = string.sub(member, at + 45)
      from = '(' .. member
      if not (S.G and S.G.is_capped and S.G.is_capped(agent)) then
        local score = m * (a * (TOP - string.sub(member, at + 13, at + 28)) + b * (S.tick - tick))
        local seq = string.sub(member, at + 29, at + 44) + 0
        if score > best_score or score == best_score and (not best_seq or seq < best_seq) then
          best, best_score, best_seq = agent, score, seq
        end
        from = '[' .. bucket .. string.format('%012d', tick + 1)
      end
      member = redis.call('ZRANGEBYLEX', K.idle, from, '(' .. bucket .. '~', 'LIMIT', '0', '1')[1]
    end
    from = '[' .. bucket .. '~'
  end
end
