"""What looks at a resource tell: one, several, and real ones."""

from __future__ import annotations

from typing import Any

import pytest

from loco_redis import AsyncLOCOScheduler, Holder, SharedResource, Snapshot
from loco_redis.metrics.prometheus import PrometheusExporter
from loco_redis.metrics.workers import WorkerTarget
from loco_redis.observe import Link, Observer
from loco_redis.orchestration.scaling import Load, Looks
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.snapshots import made


def _holder(age: float, task_id: str | None = "t") -> Holder:
    return Holder(0, 1, "a", "s", "s:1", task_id, 1.0, 1, 0, 0.0, age)


def _seen(**facts: Any) -> Snapshot:
    return made(**{"effective_capacity": 10, "born": 1.0, **facts})


def test_only_tasks_that_may_run_now_count() -> None:
    """Not dead, delayed or running ones."""
    now = _seen(
        durable_tasks=20, dead_tasks=3, delayed_tasks=4, held=2, holders=(_holder(1.0),) * 2
    )
    assert Load.of(now) == Load(backlog=11, running=2, slots=10, service=2.0)


def test_requests_count_where_workers_make_them() -> None:
    """A worker that serves tasks can do nothing for a request that waits."""
    now = _seen(waiting=7, held=3, holders=(_holder(1.0, None),) * 3)
    assert (Load.of(now).backlog, Load.of(now).running) == (0, 0)
    assert (Load.of(now, requests=True).backlog, Load.of(now, requests=True).running) == (7, 3)
    assert now.desired_workers(concurrency=1) == 0
    assert now.desired_workers(concurrency=1, requests=True) == 3


def test_a_list_of_holders_that_was_cut_short_stands_for_all() -> None:
    """Half of those listed hold for tasks: so do half of all."""
    listed = (_holder(1.0), _holder(1.0, None))
    assert Load.of(_seen(held=40, durable_tasks=100, holders=listed)).running == 20
    assert Load.of(_seen(held=40, durable_tasks=100)).running == 40


def test_a_stuck_lease_does_not_move_the_service_time() -> None:
    """It is the median that counts."""
    ages = [_holder(age) for age in (0.4, 0.5, 0.6, 0.5, 9000.0)]
    assert Load.of(_seen(held=5, durable_tasks=5, holders=tuple(ages))).service == 1.0


def test_a_snapshot_tells_workers_within_bounds() -> None:
    """90 queued of 2 s within 30 s, and 6 run: 6.4 lanes."""
    now = _seen(durable_tasks=96, held=6, holders=(_holder(1.0),) * 6)
    assert now.desired_workers(slo=30.0, concurrency=1) == 7
    assert now.desired_workers(slo=30.0, concurrency=4) == 2
    assert now.desired_workers(slo=1.0, concurrency=4) == 3  # slots for no more
    assert now.desired_workers(slo=30.0, concurrency=1, min=8) == 8
    assert now.desired_workers(slo=30.0, concurrency=1, max=5) == 5


def _steady(looks: Looks, seconds: int, **more: Any) -> Load:
    """Five always run, two end each second: 2.5 s each."""
    load = Load(0, 0, 0)
    for second in range(0, seconds, 5):
        load = looks.saw(
            _seen(
                **{
                    "server_time": 100.0 + second,
                    "held": 5,
                    "durable_tasks": 5,
                    "granted": 5 + 2 * second,
                    "released": 2 * second,
                    "holders": (_holder(9.0),) * 5,
                    **more,
                }
            )
        )
    return load


def test_service_time_and_arrivals_by_littles_law() -> None:
    """5 held on average, 2 ended a second: 2.5 s each, and as many came in."""
    load = _steady(Looks(), 200)
    assert load.service == pytest.approx(2.5)
    assert load.arrivals == pytest.approx(2.0)
    assert load.lanes(30.0) == pytest.approx(5.0)


def test_a_growing_backlog_came_in_too() -> None:
    """What is queued more than before counts as arrivals."""
    looks = Looks()
    looks.saw(_seen(server_time=1.0, durable_tasks=0))
    load = looks.saw(_seen(server_time=11.0, durable_tasks=50))
    assert load.arrivals == pytest.approx(5.0)


def test_leases_of_others_are_no_arrivals() -> None:
    """Where only requests hold, no task came in."""
    requests = {"holders": (_holder(1.0, None),) * 5, "durable_tasks": 0}
    assert _steady(Looks(), 100, **requests).arrivals == 0.0
    assert _steady(Looks(requests=True), 100, **requests).arrivals == pytest.approx(2.0)


def test_looks_of_a_moment_say_nothing_of_arrivals() -> None:
    """Below five seconds there are none, so one burst is not taken for a stream."""
    looks = Looks()
    looks.saw(_seen(server_time=1.0))
    assert looks.saw(_seen(server_time=2.0, durable_tasks=300)).arrivals is None


def test_the_last_service_time_is_remembered() -> None:
    """When nothing has run for a while, it is known what new tasks will take."""
    looks = Looks()
    _steady(looks, 60)
    for second in range(160, 1600, 5):
        idle = {"server_time": float(second), "granted": 115, "released": 115}
        load = looks.saw(_seen(**idle))
    assert load.service == pytest.approx(2.5, rel=0.1)
    assert load.arrivals == pytest.approx(0.0, abs=1e-3)


def test_a_server_that_was_emptied_begins_anew() -> None:
    """Counters that fall, or another birth, are no figures of the past."""
    looks = Looks()
    _steady(looks, 60)
    assert looks.saw(_seen(server_time=170.0, born=2.0, durable_tasks=3)).arrivals is None
    assert repr(looks) == "<Looks of 0.0 s service=None>"


async def test_real_tasks_are_told_by_snapshot_and_metric(
    schedulers: Schedulers, server: Server
) -> None:
    """Twelve queued, two of them running, one delayed and not counted."""
    async with schedulers(capacity=6) as scheduler:
        for _ in range(12):
            await scheduler.submit_task("batch")
        await scheduler.submit_task("batch", delay=600.0)
        async with scheduler.serve(), scheduler.serve(nested="allow"):
            now = await scheduler.snapshot()
            assert Load.of(now).backlog == 10
            assert Load.of(now).running == 2
            assert now.desired_workers(slo=1e-3, concurrency=2) == 3
            with Link(server.url) as link:
                observer = Observer(link, scheduler.name)
                assert Load.of(observer.snapshot(limit=10)).backlog == 10
                target = WorkerTarget(slo=1e-3, concurrency=2)
                exporter = PrometheusExporter(observer, workers=target)
                samples = exporter.snapshot()["loco_redis_desired_workers"]
            assert samples == [({"resource": scheduler.name}, 3.0)]
        for task in [row.task_id for row in Observer(Link(server.url), scheduler.name).tasks()]:
            await scheduler.cancel_task(task)


async def test_a_pause_asks_for_no_more_than_min(server: Server) -> None:
    """Workers of a paused resource have nothing to do."""
    async with AsyncLOCOScheduler(
        resource=SharedResource("paused", 4), redis=server.url
    ) as scheduler:
        await scheduler.submit_task("batch")
        assert (await scheduler.snapshot()).desired_workers() == 1
        await scheduler.reconfigure(paused=True)
        assert (await scheduler.snapshot()).desired_workers() == 0
        await scheduler.reconfigure(paused=False)


def test_a_bad_target_is_refused() -> None:
    """Before anything is read."""
    with pytest.raises(ValueError, match="slo must be"):
        WorkerTarget(slo=0.0)
    with pytest.raises(ValueError, match="window must be"):
        Looks(window=0.0)
