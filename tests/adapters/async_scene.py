"""A scene of the async cases: one way of calling, its scheduler, the provider."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from loco_redis import AsyncLOCOScheduler, Snapshot
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.settled import Figures, at_rest, early, price, reported, settle_down, settled
from tests.adapters.way import Way
from tests.schedulers import Schedulers
from tests.waiting import eventually

AGENT = "analyst"
_PAUSE = 0.01


class Scene:
    """Attributes: way, scheduler, provider."""

    def __init__(
        self, way: Any, scheduler: AsyncLOCOScheduler, provider: FakeProvider, server: Any
    ) -> None:
        self.way, self.scheduler, self.provider = way, scheduler, provider
        self._server = server

    async def collected(self) -> None:
        """What was dropped has been collected, in as many goes as it takes: a generator that was
        left in the middle lives until its end has been run by the event loop."""

        def at_rest_now() -> bool:
            gc.collect()
            return at_rest(self._server, self.provider)

        await eventually(at_rest_now, what="everything at rest once it was dropped")

    async def released(self, slots: int | None = None) -> Figures:
        """Everything has come to rest, and each request had a slot (or `slots` were granted).
        What was settled."""
        await settle_down(self._server, self.provider)
        granted = (await self.scheduler.snapshot()).granted
        assert granted == (len(self.provider.requests) if slots is None else slots)
        return await settled(self.scheduler)

    async def settled(self, slots: int | None = None) -> None:
        """The same, and what was settled is what the provider has said."""
        assert await self.released(slots) == (
            reported(self.provider) if self.way is None else self.way.expected()
        )

    async def settled_early(self, seen: str) -> None:
        """The only call was a stream that ended after the text `seen`."""
        tokens, cost = await self.released(slots=1)
        least, most = early(self.provider, self.way.ask, seen)
        assert least <= tokens < most
        assert cost > 0

    async def snapshot_when(self, predicate: Callable[[Snapshot], object]) -> Snapshot:
        deadline = time.monotonic() + 10
        while not predicate(found := await self.scheduler.snapshot()):
            assert time.monotonic() < deadline, found
            await asyncio.sleep(_PAUSE)
        return found


class Scenes:
    """Makes scenes of one way, and closes them."""

    def __init__(self, kind: type[Way], provider: FakeProvider, schedulers: Schedulers) -> None:
        self.kind, self._provider, self._schedulers = kind, provider, schedulers
        self._ways: list[Way] = []

    def __call__(
        self,
        capacity: int = 1,
        max_retries: int = 0,
        timeout: float | None = None,
        **of_scheduler: Any,
    ) -> Scene:
        scheduler = self._schedulers(capacity, **of_scheduler)
        way = self.kind(
            self._provider,
            scheduler,
            max_retries,
            agent_id=AGENT,
            prices=price,
            timeout=timeout,
        )
        self._ways.append(way)
        return Scene(way, scheduler, self._provider, self._schedulers.server)

    async def aclose(self) -> None:
        for way in self._ways:
            await way.aclose()


@pytest.fixture
async def scenes(
    kind: type[Way], provider: FakeProvider, schedulers: Schedulers
) -> AsyncIterator[Scenes]:
    """A maker of scenes of the way `kind`, by which a test is parametrized."""
    scenes = Scenes(kind, provider, schedulers)
    yield scenes
    await scenes.aclose()
