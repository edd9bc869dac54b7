"""One exchange with a provider: take the slot, send, give it back when the answer is closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from loco_redis.adapters._bodies import lead, lead_async
from loco_redis.adapters._passage import BlockingPassage, Passage

R = TypeVar("R")


def _itself(response: Any) -> Any:
    return response


async def exchange_async(
    passage: Passage, send: Callable[[], Awaitable[R]], http: Callable[[R], Any] = _itself
) -> R:
    """The response that `send` brings. `http` finds the one of httpx in it; None: there is none, as
    something between has answered without the provider."""
    await passage.begin()
    if passage.covered:
        return await send()
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
    passage.answered(found.status_code, found.headers)
    if found.is_closed:  # it has been read already
        passage.call.answer.feed(found.content)
        await passage.end()
    else:
        lead_async(found, passage)
    return response


def exchange(
    passage: BlockingPassage, send: Callable[[], R], http: Callable[[R], Any] = _itself
) -> R:
    """The same for plain code."""
    passage.begin()
    if passage.covered:
        return send()
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
    passage.answered(found.status_code, found.headers)
    if found.is_closed:
        passage.call.answer.feed(found.content)
        passage.end()
    else:
        lead(found, passage)
    return response
