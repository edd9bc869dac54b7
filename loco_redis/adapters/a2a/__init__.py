"""A2A: a slot for each task of an agent, and an agent that shares out slots over A2A.

- `executor.py`   `A2AExecutor`: runs another executor's tasks, each in a slot
- `_extension.py` what a request may say of its slot, and what a card says of that
- `_slots.py`     a task's time in its slot; `_events.py` what its client hears of it
- `_server.py`    `A2ASchedulerAgent`, an agent with the skills of `_skills.py`
"""

# ruff: noqa: E402  this one says how to install it
from loco_redis._extras import need

need("a2a.types", "a2a")

from loco_redis.adapters.a2a._extension import (
    EXTENSION_URI,
    A2AScheduling,
    SLOClass,
    add_extension,
)
from loco_redis.adapters.a2a._server import A2ASchedulerAgent
from loco_redis.adapters.a2a.executor import A2AExecutor

__all__ = [
    "EXTENSION_URI",
    "A2AExecutor",
    "A2ASchedulerAgent",
    "A2AScheduling",
    "SLOClass",
    "add_extension",
]
