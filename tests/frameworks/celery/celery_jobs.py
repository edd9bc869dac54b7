"""The app of the worker processes that these tests start, and of the tests themselves."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

import loco_redis as loco
from loco_redis.adapters.celery import CeleryAdapter
from tests.frameworks.queue_workers import CAPACITY, OPTIONS, Marks, seen
from tests.schedulers import NAME

URL = os.environ.get("LOCO_TEST_URL", "")

app = Celery("celery_jobs")
app.conf.update(
    worker_prefetch_multiplier=1,
    result_backend_always_retry=False,
    task_annotations={"annotated": {"loco_agent": "from-annotations"}},
    broker_transport_options={"polling_interval": 0.05},
)
CeleryAdapter(timeout=20, retry_in=0.2).install(app)


def use(url: str) -> None:
    """The server is the app's broker and keeps its results."""
    place = url.replace("unix://", "redis+socket://")
    app.conf.update(broker_url=place, result_backend=place)


if URL:
    use(URL)
    loco.configure(capacity=CAPACITY, redis=URL, resource_name=NAME, **OPTIONS)


def marks(name: str) -> Marks:
    return Marks(app.conf.broker_url.replace("redis+socket", "unix"), name)


@app.task(name="look", bind=True, loco_agent="from-options", loco_weight=3)
def look(self: Any) -> dict[str, Any]:
    if self.request.headers and self.request.headers.get("loco_agent", "") is None:
        return seen()
    with loco.get_blocking_scheduler().acquire("other", nested="share") as inner:
        return {**seen(), "inner": inner.agent_id, "retries": self.request.retries}


@app.task(name="unlabelled")
def unlabelled() -> dict[str, Any]:
    return seen()


@app.task(name="annotated")
def annotated() -> dict[str, Any]:
    return seen()


@app.task(name="hold", loco_agent="holder")
def hold(name: str) -> str:
    marks(name).hold()
    return "held"


@app.task(name="brief", loco_agent="busy")
def brief(name: str) -> None:
    mark = marks(name)
    mark.enter()
    import time

    time.sleep(0.02)
    mark.leave()


@app.task(name="fail")
def fail() -> None:
    raise RuntimeError("of the body")


@app.task(name="flaky", bind=True, autoretry_for=(OSError,), retry_kwargs={"countdown": 0})
def flaky(self: Any, name: str) -> dict[str, Any]:
    mark = marks(name)
    mark.enter()
    if mark.number("begun") < 3:
        raise OSError("once more")
    return {**seen(), "retries": self.request.retries}


@app.task(name="limited", loco_agent="limited", soft_time_limit=1, time_limit=20)
def limited(name: str) -> None:
    marks(name).hold()


@app.task(name="killed", loco_agent="killed", time_limit=1)
def killed(name: str) -> None:
    marks(name).hold()


@app.task(name="outer", loco_agent="outer")
def outer() -> dict[str, Any]:
    return unlabelled()
