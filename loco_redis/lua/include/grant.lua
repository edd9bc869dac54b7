-- Lets the chosen agent have a slot: its head goes first, unless that is a durable task and no request waits
-- that would serve one.
--@include dequeue
--@include select
--@include hold

local function serve(load, score)
  S.waiting = S.waiting - 1
  if load.lane == 'd' and (load.open > 0 or S.servers > 0) then
    --@include serve_durable
    return serve_durable(load, score)
  end
  local r = { id = load.head, seq = load.seq, tick = load.tick, weight = load.weight, terms = load.terms,
    agent = load.agent }
  if load.lane == 'd' then
    --@include request_row
    --@include lane_head
    r = read_request(lane_head(load.agent, 'b').id)
  end
  take_task(load, 'b', r.seq, r.tick, r.weight, r.id)
  store_load(load)
  r.lane, r.attempt, r.task = 'b', '1', ''
  hold(r, score, S.tick - r.tick, '0')
end
