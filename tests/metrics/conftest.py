"""Fixtures of this folder."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from tests.clusters import cluster_url
from tests.schedulers import any_schedulers, schedulers

__all__ = ["any_schedulers", "cluster_url", "schedulers"]


@pytest.fixture(autouse=True)
def _figures_of_its_own() -> None:
    """What schedulers of an earlier test have counted goes with them."""
    gc.collect()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """Exporters end with their tests."""
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if name.startswith("loco_redis.metrics")] == []
