"""taskiq on the test's own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import loco_redis as loco
from tests.frameworks.queue_workers import Slots
from tests.frameworks.taskiq.taskiq_jobs import configure
from tests.servers import Server


@pytest.fixture
async def slots(server: Server) -> AsyncIterator[Slots]:
    """Slots of which none may be held after the test; they are the configured ones."""
    configure(server.url)
    slots = await asyncio.to_thread(Slots, server)
    yield slots
    await asyncio.to_thread(slots.at_rest)
    await asyncio.to_thread(slots.close)
    await loco.reset()
