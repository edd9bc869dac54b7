-- What `release` does for a live session; returns the status and the values of its reply. `outcome`, of `complete`: what
-- becomes of the durable task; without one it is done.
--@include finish
--@include charge

local function release_slot(session, rid, token, charge_weight, cell, labels, outcome)
  local request = read_request(rid) -- to drop it is the first write: on a full server, too (README.md, rule 5)
  if not request or request.state ~= 'G' or request.token ~= token then
    redis.call('HDEL', K.vars, '')
    return FINISHED, S.tick, 0, S.held
  end
  finish(request, 1)
  local cost = request.settled
  if not cost then
    cost = charge_weight == '1' and request.weight or 0
    if request.terms ~= '' then
      --@include accounts
      if charge_weight == '1' then cost = read_terms(request.terms) end
      settle_terms(request.agent, request.terms, cost)
    end
    charge(request.agent, cost)
    if labels ~= '' then
      --@include attribute
      attribute(request.agent, labels, cost)
    end
  end
  local waits = 'wait\0' .. cell .. request.agent
  if redis.call('HINCRBY', K.tallies, waits, '1') == 1 then
    --@include tally
    bound('wait', cell .. request.agent, 1, 50000, cell .. '__other__')
  end
  if request.task ~= '' then
    if outcome then
      outcome(request.task)
    else
      --@include complete_task
      complete_task(request.task, '')
    end
  end
  S.released = S.released + 1
  local held = S.held
  if S.note then
    S.note('released', request.agent, 'id', rid, 'slot', request.slot, 'token', token, 'cost', int(cost), 'held', int(held))
  end
  if S.features then
    --@include after_release
    after_release(request, charge_weight == '1')
  end
  if string.sub(rid, -12) + 0 >= session.floor then
    --@include once
    leave_tombstone(rid)
  end
  return OK, S.tick, cost, held
end
