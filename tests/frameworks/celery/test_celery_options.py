"""What the adapter takes, and what it does without a worker."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from loco_redis import AcquireTimeoutError, LOCOScheduler, SharedResource
from loco_redis.adapters.celery import CeleryAdapter
from tests.frameworks.queue_workers import CAPACITY, OPTIONS, Slots, seen
from tests.schedulers import NAME


@pytest.fixture
def made(slots: Slots) -> list[LOCOScheduler]:
    """The schedulers that `make` has made."""
    return []


def app_of(slots: Slots, made: list[LOCOScheduler], **options: Any) -> Celery:
    def make() -> LOCOScheduler:
        resource = SharedResource(NAME, CAPACITY)
        made.append(LOCOScheduler((), resource, redis=slots.server.url, **OPTIONS))
        return made[-1]

    app = Celery("eager", set_as_current=False)
    app.conf.result_backend = "cache+memory://"
    adapter = CeleryAdapter(make, **options)
    adapter.install(app)
    app._loco_adapter = adapter
    return app


def test_a_function_makes_the_scheduler_at_the_first_task(
    slots: Slots, made: list[LOCOScheduler]
) -> None:
    app = app_of(slots, made, agent_id="batch", weight=2)

    @app.task
    def look() -> dict[str, Any]:
        return seen()

    assert look()["leases"] == [], "a plain call is no task"
    assert made == []
    for _ in range(2):
        assert look.apply().get()["leases"] == [["batch", 2.0, look.name]]
    assert len(made) == 1
    app._loco_adapter._close()
    assert slots.sessions() == 1, "this test's"


def test_without_a_slot_in_time_a_task_fails_where_it_cannot_be_published(
    slots: Slots, made: list[LOCOScheduler]
) -> None:
    app = app_of(slots, made, timeout=0.3, on_timeout="fail")
    begun = []

    @app.task(autoretry_for=(AcquireTimeoutError,), max_retries=2, retry_kwargs={"countdown": 0})
    def late() -> None:
        begun.append(1)

    handles = [slots.scheduler.acquire_start("other") for _ in range(CAPACITY)]
    result = late.apply()
    for handle in handles:
        slots.scheduler.release_handle(handle)
    assert isinstance(result.result, AcquireTimeoutError)
    assert begun == []
    app._loco_adapter._close()


def test_bad_options_are_refused() -> None:
    for options, text in (
        ({"scheduler": "redis://"}, "a LOCOScheduler, a function"),
        ({"on_timeout": "wait"}, "on_timeout must be"),
        ({"agent_id": ""}, "agent id"),
        ({"weight": 0}, "weight"),
        ({"timeout": -1}, "timeout"),
        ({"retry_in": "soon"}, "retry_in"),
    ):
        with pytest.raises(ValueError, match=text):
            CeleryAdapter(**options)  # type: ignore[arg-type]
