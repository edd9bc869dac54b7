"""How a call's passage learns what became of it, of frameworks' errors and answers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from loco_redis.adapters._calls.failures import failure_of
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.passage import BlockingPassage, Passage

_DEEPEST = 8  # of a chain of errors

_log = logging.getLogger("loco_redis")


def context_of(passage: Passage | BlockingPassage) -> AbstractContextManager[None]:
    """Layers below see the slot; where one above conducts this call, they do so already."""
    return nullcontext() if passage.covered else passage.in_context()


def tell_failure(passage: Passage | BlockingPassage, error: BaseException) -> None:
    """An error of the provider: how it answered, and whether the fleet is to leave it alone."""
    failures = (failure_of(cause) for cause in _causes(error))
    failure = next(filter(None, failures), None)
    if failure is None or passage.covered:
        return
    passage.call.status = failure.status or 0
    if failure.pause is not None:
        with contextlib.suppress(Exception):  # the caller gets the provider's error
            passage.pause(failure.pause)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from: frameworks raise errors of their own for those of SDKs."""
    cause: BaseException | None = error
    for _ in range(_DEEPEST):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def tell_use(call: ModelCall, read: Callable[[], None]) -> None:
    """An answer of a form that an adapter does not know is the caller's all the same."""
    try:
        read()
    except Exception:  # noqa: BLE001  of a framework's objects
        _log.exception("what a call of %r has used is not understood", call.agent_id)
