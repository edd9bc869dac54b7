-- The text of a grant that was made earlier.
--@include task_row
--@include grant_text

local function regrant_text(r)
  local task = r.task ~= '' and read_task(r.task)
  return grant_text(r, task and task.flags % 2 or 0)
end
