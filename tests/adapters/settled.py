"""What must be true after every case: nothing is left in Redis, and what was settled is what the
provider has said."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from loco_redis import AsyncLOCOScheduler, LOCOScheduler
from loco_redis.testing import invariants
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.asks import Ask
from tests.schedulers import dump_of
from tests.servers import Server
from tests.waiting import eventually, wait_until

Figures = tuple[int, float]


def price(model: str, usage: Any) -> float:
    """Each kind of token has a price of its own, so that mistaking one for another shows."""
    thousandths = (
        usage.input_tokens
        + 2 * usage.cache_read_tokens
        + 3 * usage.cache_write_tokens
        + 5 * usage.output_tokens
        + 7 * usage.reasoning_tokens
    )
    return thousandths / 1000


def reported(provider: FakeProvider) -> Figures:
    """Tokens and cost by what the provider has said."""
    bills = provider.reported
    return sum(b.total_tokens for b in bills), round(sum(price(b.model, b) for b in bills), 3)


def early(provider: FakeProvider, ask: type[Ask], seen: str) -> tuple[int, int]:
    """Of a stream that ended after the text `seen`: the least tokens that are known of it by then,
    and all those of the whole answer."""
    whole = Billed.of(provider.requests[-1].body, Reply().text)
    known = whole.prompt_tokens if ask.input_comes_first else 1
    return known + math.ceil(len(seen) / 4), whole.total_tokens


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from: SDKs raise errors of their own for those of a transport."""
    while error is not None:
        yield error
        error = error.__cause__


def at_rest(server: Server, provider: FakeProvider) -> bool:
    """No slot is held, nobody waits, no task is queued, and the provider has nothing to do."""
    return not provider.in_flight and not list(invariants.at_rest(dump_of(server)))


async def settle_down(server: Server, provider: FakeProvider) -> None:
    await eventually(lambda: at_rest(server, provider), what="everything at rest")


async def settled(scheduler: AsyncLOCOScheduler) -> Figures:
    """Tokens and cost by what Redis has counted."""
    tokens = await scheduler.metrics.total_actual_tokens()
    return tokens, round(await scheduler.metrics.total_cost(), 3)


def settle_down_blocking(server: Server, provider: FakeProvider) -> None:
    wait_until(lambda: at_rest(server, provider), what="everything at rest")


def settled_blocking(scheduler: LOCOScheduler) -> Figures:
    return scheduler.metrics.total_actual_tokens(), round(scheduler.metrics.total_cost(), 3)
