"""A scene of the plain cases: one way of calling, its scheduler, the provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loco_redis import LOCOScheduler, SharedResource, Snapshot
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.async_scene import AGENT
from tests.adapters.settled import (
    Figures,
    early,
    price,
    reported,
    settle_down_blocking,
    settled_blocking,
)
from tests.adapters.sync_way import Way
from tests.schedulers import NAME
from tests.servers import Server
from tests.waiting import wait_until


class SyncScene:
    """Attributes: way, scheduler, provider."""

    def __init__(
        self, way: Any, scheduler: LOCOScheduler, provider: FakeProvider, server: Server
    ) -> None:
        self.way, self.scheduler, self.provider = way, scheduler, provider
        self._server = server

    def released(self, slots: int | None = None) -> Figures:
        """As `async_scene.Scene.released`."""
        settle_down_blocking(self._server, self.provider)
        granted = self.scheduler.snapshot().granted
        assert granted == (len(self.provider.requests) if slots is None else slots)
        return settled_blocking(self.scheduler)

    def settled(self, slots: int | None = None) -> None:
        assert self.released(slots) == (
            reported(self.provider) if self.way is None else self.way.expected()
        )

    def settled_early(self, seen: str) -> None:
        """As `async_scene.Scene.settled_early`."""
        tokens, cost = self.released(slots=1)
        least, most = early(self.provider, self.way.ask, seen)
        assert least <= tokens < most
        assert cost > 0

    def snapshot_when(self, predicate: Callable[[Snapshot], object]) -> Snapshot:
        wait_until(lambda: predicate(self.scheduler.snapshot()))
        return self.scheduler.snapshot()


class SyncScenes:
    """Makes scenes of one way, and closes them."""

    def __init__(self, kind: type[Way], provider: FakeProvider, server: Server) -> None:
        self.kind, self._provider, self._server = kind, provider, server
        self._made: list[SyncScene] = []

    def __call__(
        self,
        capacity: int = 1,
        max_retries: int = 0,
        timeout: float | None = None,
        **of_scheduler: Any,
    ) -> SyncScene:
        options = {"redis": self._server.url, "lease_ttl": 2.0, **of_scheduler}
        scheduler = LOCOScheduler((), SharedResource(NAME, capacity), **options)
        way = self.kind(
            self._provider,
            scheduler,
            max_retries,
            agent_id=AGENT,
            prices=price,
            timeout=timeout,
        )
        self._made.append(SyncScene(way, scheduler, self._provider, self._server))
        return self._made[-1]

    def close(self) -> None:
        for scene in self._made:
            scene.way.end()
            scene.scheduler.close()


@pytest.fixture
def sync_scenes(kind: type[Way], provider: FakeProvider, server: Server) -> Iterator[SyncScenes]:
    """A maker of scenes of the way `kind`, by which a test is parametrized."""
    scenes = SyncScenes(kind, provider, server)
    yield scenes
    scenes.close()
