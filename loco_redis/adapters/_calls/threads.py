"""Plain calls for an event loop: the slot is waited for in the loop, the answer in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import Any, TypeVar

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.usage import Usage

R = TypeVar("R")

_under_way: set[asyncio.Task[Any]] = set()  # the loops keep weak references only


async def ask_in_thread(
    conductor: Conductor, call: ModelCall, send: Callable[[], R], used: Callable[[R], Usage | None]
) -> R:
    """`Conductor.ask` for a `send` that blocks. Once that has begun, cancelling does not end it:
    the slot is held, and the answer paid for, until its thread comes back."""
    begun = False

    async def sending() -> R:
        nonlocal begun
        begun = True
        return await in_thread(send)

    asking = asyncio.create_task(conductor.ask(call, sending, used), name="loco_redis.call")
    _under_way.add(asking)
    asking.add_done_callback(_under_way.discard)
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        if not begun:
            asking.cancel()
        raise


async def in_thread(send: Callable[[], R]) -> R:
    """In one of its own: those of the loop's executor are few, and a call that has its slot must
    not wait again. It keeps no process from ending."""
    answer: Future[R] = Future()
    answer.set_running_or_notify_cancel()
    run = copy_context().run

    def work() -> None:
        try:
            answer.set_result(run(send))
        except BaseException as error:  # noqa: BLE001  it is the caller's
            answer.set_exception(error)

    Thread(target=work, name="loco_redis.call", daemon=True).start()
    return await asyncio.wrap_future(answer)
