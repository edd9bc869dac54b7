"""Microsoft Agent Framework: each request to a model waits for its slot.

- `middleware.py` `SchedulerChatMiddleware` for chat clients, `SchedulerAgentMiddleware` for agents
- `_calls.py`     what a request asks for, and what it has used
"""

from loco_redis.adapters.agent_framework.middleware import (
    SchedulerAgentMiddleware,
    SchedulerChatMiddleware,
)

__all__ = ["SchedulerAgentMiddleware", "SchedulerChatMiddleware"]
