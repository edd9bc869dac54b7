"""The one-line API: a resource is configured once in a process, and calls are wrapped.

What is built from these is the same as anywhere: AsyncLOCOScheduler and LOCOScheduler.
"""

from loco_redis.shortcuts._api import (
    configure,
    get_blocking_scheduler,
    get_scheduler,
    reset,
    set_budget,
    wrap,
)
from loco_redis.shortcuts._scheduled import scheduled

__all__ = [
    "configure",
    "get_blocking_scheduler",
    "get_scheduler",
    "reset",
    "scheduled",
    "set_budget",
    "wrap",
]
