-- The one place that ends a lease. What becomes of its task and cost, the verbs say.
--@include request_row

local function finish(request)
  freed[#freed + 1] = request.slot
  S.held = S.held - 1
  drop_request(request.id)
end
