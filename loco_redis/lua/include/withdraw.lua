-- Takes a waiting request out of its lane and forgets it.
--@include request_row
--@include open_lane

local function withdraw(request)
  if request.terms ~= '' then
    --@include accounts
    settle_terms(request.agent, request.terms, 0)
  end
  if request.lane == 's' then
    redis.call('ZREM', K.queue, lane_member('', 's', request.seq, request.tick, request.id))
    S.servers = S.servers - 1
  else
    local load = load_of(request.agent)
    if request.lane == 'b' then
      take_task(load, 'b', request.seq, request.tick, request.weight, request.id)
    else
      take_open(load, request.seq, request.tick, request.id)
    end
    store_load(load)
  end
  drop_request(request.id)
  S.waiting = S.waiting - 1
  S.told = 0 -- whoever was told when to look again may be gone
end
