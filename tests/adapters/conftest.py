"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.async_scene import scenes
from tests.adapters.sync_scene import sync_scenes
from tests.schedulers import schedulers

pytest.register_assert_rewrite("tests.adapters.async_cases", "tests.adapters.sync_cases")

__all__ = ["provider", "scenes", "schedulers", "sync_scenes"]


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A fake provider that answers at once."""
    with FakeProvider() as provider:
        yield provider
