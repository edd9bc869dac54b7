"""Asking Redis until it has answered: what is asked this way may be repeated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import ResponseError

from loco_redis._connect import CONNECTION_ERRORS, is_hopeless
from loco_redis._rights import denied
from loco_redis._wire import Diagnosis, diagnose, library_error
from loco_redis.backoff import Backoff
from loco_redis.errors import BackendError, BackendMemoryError, BackendUnavailableError

T = TypeVar("T")

_AGAIN = Backoff(base=0.02, cap=1.0)


async def insist(
    ask: Callable[[], Awaitable[T]],
    *,
    what: str,
    where: str,
    patience: float,
    on_failure: Callable[[], None] | None = None,
) -> T:
    """The answer of `ask`, which is asked again while Redis cannot be reached or is not ready.

    Args:
        what: the script or command, for errors; where: a redacted URL.
        patience: seconds to try for.
        on_failure: called each time a reply may have been lost.

    Raises:
        BackendError: in its typed form.
    """
    deadline, attempt = time.monotonic() + patience, 0
    while True:
        attempt += 1
        try:
            return await ask()
        except CONNECTION_ERRORS as error:
            if on_failure is not None:
                on_failure()
            pause = _AGAIN.delay(attempt)
            typed = _typed(error, what, where)
            over = time.monotonic() + pause >= deadline
            if over or not isinstance(typed, BackendUnavailableError) or is_hopeless(error):
                raise typed from error
        await asyncio.sleep(pause)


def _typed(error: Exception, what: str, where: str) -> BackendError:
    detail = (str(error) or type(error).__name__).splitlines()[0]
    if (refusal := denied(where, what, error)) is not None:
        return refusal
    if isinstance(error, ResponseError):
        meaning = diagnose(error)
        if meaning is Diagnosis.MEMORY:
            return BackendMemoryError(where)
        if meaning is Diagnosis.NO_LIBRARY:
            return library_error(where, error)
        if meaning not in (Diagnosis.LATER, Diagnosis.NO_SCRIPT):
            return BackendError(f"{what} was refused by Redis at {where}: {detail}")
    return BackendUnavailableError(where, detail)
