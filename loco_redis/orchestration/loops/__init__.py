"""Running many calls of agents at once, with time limits, retries and streams."""

from loco_redis.orchestration.loops.loop import AsyncAgentLoop
from loco_redis.orchestration.loops.values import AsyncInvocationResult, AsyncLoopConfig

__all__ = ["AsyncAgentLoop", "AsyncInvocationResult", "AsyncLoopConfig"]
