"""Which scheduler a call goes through: the one that was given, or the configured one."""

from __future__ import annotations

from collections.abc import Callable

from loco_redis import _validate as validate
from loco_redis.blocking import LOCOScheduler
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts import get_blocking_scheduler, get_scheduler

Given = AsyncLOCOScheduler | LOCOScheduler | None


def async_scheduler(given: Given) -> Callable[[], AsyncLOCOScheduler]:
    """Asked at each call: without a given one, each event loop has its own. Raises ValueError."""
    if given is None:
        return get_scheduler
    if not isinstance(given, AsyncLOCOScheduler):
        raise ValueError(
            f"an async client needs an AsyncLOCOScheduler, got {validate.shown(given)}"
        )
    return lambda: given


def blocking_scheduler(given: Given) -> Callable[[], LOCOScheduler]:
    """The same for plain code. Raises ValueError."""
    if given is None:
        return get_blocking_scheduler
    if not isinstance(given, LOCOScheduler):
        raise ValueError(f"a plain client needs a LOCOScheduler, got {validate.shown(given)}")
    return lambda: given


def plain_scheduler(given: Given) -> Callable[[], LOCOScheduler | AsyncLOCOScheduler]:
    """For plain calls that a framework may make in any thread: also the scheduler of an event loop.
    Raises ValueError."""
    if given is None:
        return get_blocking_scheduler
    if not isinstance(given, LOCOScheduler | AsyncLOCOScheduler):
        raise ValueError(
            "scheduler must be an AsyncLOCOScheduler, a LOCOScheduler or None, "
            f"got {validate.shown(given)}"
        )
    return lambda: given
