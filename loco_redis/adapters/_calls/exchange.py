"""One exchange with a provider: take the slot, send, give it back when the answer is closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from loco_redis.adapters._calls.bodies import lead, lead_async
from loco_redis.adapters._calls.failures import pause_asked
from loco_redis.adapters._calls.http_call import HTTPCall
from loco_redis.adapters._calls.passage import BlockingPassage, Passage
from loco_redis.blocking import LOCOScheduler
from loco_redis.scheduler import AsyncLOCOScheduler

R = TypeVar("R")


def _itself(response: Any) -> Any:
    return response


async def exchange_async(
    scheduler: AsyncLOCOScheduler,
    call: HTTPCall,
    send: Callable[[], Awaitable[R]],
    http: Callable[[R], Any] = _itself,
) -> R:
    """The response that `send` brings. `http` finds the one of httpx in it; None: there is none, as
    something between has answered without the provider."""
    passage = Passage(scheduler, call)
    await passage.begin()
    if passage.covered:
        response = await send()
        _heed(passage, http(response))
        return response
    try:
        with passage.in_context():
            response = await send()
    except BaseException as error:
        await passage.end(error)
        raise
    found = http(response)
    if found is None:
        await passage.end()
        return response
    seconds = call.answered(found.status_code, found.headers)
    if seconds is not None:
        passage.pause(seconds)
    if found.is_closed:  # it has been read already
        call.answer.feed(found.content)
        await passage.end()
    else:
        lead_async(found, passage, call)
    return response


def exchange(
    scheduler: LOCOScheduler,
    call: HTTPCall,
    send: Callable[[], R],
    http: Callable[[R], Any] = _itself,
) -> R:
    """The same for plain code."""
    passage = BlockingPassage(scheduler, call)
    passage.begin()
    if passage.covered:
        response = send()
        _heed(passage, http(response))
        return response
    try:
        with passage.in_context():
            response = send()
    except BaseException as error:
        passage.end(error)
        raise
    found = http(response)
    if found is None:
        passage.end()
        return response
    seconds = call.answered(found.status_code, found.headers)
    if seconds is not None:
        passage.pause(seconds)
    if found.is_closed:
        call.answer.feed(found.content)
        passage.end()
    else:
        lead(found, passage, call)
    return response


def _heed(passage: Passage | BlockingPassage, found: Any) -> None:
    """The layer above may never learn of an answer which an SDK between the two tries again."""
    if found is not None:
        seconds = pause_asked(found.status_code, found.headers)
        if seconds is not None:
            passage.pause(seconds)
