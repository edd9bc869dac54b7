-- The statuses of replies; `loco_redis.Status` mirrors them and a test holds the two equal.
local OK, GRANTED, QUEUED, FINISHED, EXPIRED = 0, 1, 2, 3, 4
local BACKPRESSURE, MISMATCH, UNCONFIGURED = 5, 6, 7
local UNKNOWN_AGENT, AGENT_BUSY, UNKNOWN_TASK, TASK_RUNNING = 8, 9, 10, 11
local CONFLICT, LATE, REFUSED, TASK_ALIVE, NO_RESULT = 12, 13, 14, 15, 16
