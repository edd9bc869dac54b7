"""Tasks of real Celery workers hold slots, and give them back on every path."""

from __future__ import annotations

import os
import signal

import pytest
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

from tests.frameworks.celery.celery_jobs import (
    annotated,
    brief,
    fail,
    flaky,
    hold,
    killed,
    limited,
    look,
    marks,
    outer,
    unlabelled,
)
from tests.frameworks.celery.conftest import Start
from tests.frameworks.queue_workers import CAPACITY, LEASE, Slots
from tests.waiting import wait_until

POOLS = [("prefork", "4"), ("threads", "4"), ("solo", "1")]


@pytest.mark.parametrize(("pool", "size"), POOLS)
def test_tasks_run_in_slots_of_the_agents_that_their_labels_name(
    slots: Slots, start: Start, pool: str, size: str
) -> None:
    worker = start("-P", pool, "-c", size)
    own = look.delay().get(10)
    assert own["leases"] == [["from-options", 3.0, "look"]]
    assert (own["agent"], own["inner"]) == ("from-options", "from-options")
    called = look.apply_async(headers={"loco_agent": "caller", "loco_weight": 4}).get(10)
    assert called["leases"] == [["caller", 4.0, "look"]]
    assert look.apply_async(headers={"loco_agent": None}).get(10)["leases"] == []
    assert unlabelled.delay().get(10)["leases"] == [["unlabelled", 1.0, "unlabelled"]]
    assert annotated.delay().get(10)["agent"] == "from-annotations"
    assert outer.delay().get(10)["leases"] == [["outer", 1.0, "outer"]]
    with pytest.raises(RuntimeError, match="of the body"):
        fail.delay().get(10)
    assert flaky.delay(f"flaky-{pool}").get(10)["retries"] == 2
    for task in [brief.delay(pool) for _ in range(12)]:
        task.get(10)
    assert marks(pool).number("peak") <= CAPACITY
    assert slots.held() == 0
    assert worker.terminate() == 0
    assert slots.sessions() == 1  # this test's


def test_no_more_bodies_run_than_there_are_slots(slots: Slots, start: Start) -> None:
    worker = start("-P", "prefork", "-c", "4")
    tasks = [hold.delay("many") for _ in range(6)]
    wait_until(lambda: marks("many").number("running") == CAPACITY and slots.waiting() == 2)
    marks("many").let()
    for task in tasks:
        assert task.get(10) == "held"
    assert marks("many").number("peak") == CAPACITY
    assert worker.terminate() == 0


def test_a_task_without_a_slot_in_time_is_published_again(slots: Slots, start: Start) -> None:
    start("-P", "prefork", "-c", "1")
    with slots.scheduler.acquire("a"), slots.scheduler.acquire("b", nested="allow"):
        task = look.apply_async(headers={"loco_timeout": 0.2, "loco_agent": "late"})
        wait_until(lambda: task.state == "RETRY")
    result = task.get(10)
    assert result["leases"] == [["late", 3.0, "look"]]
    assert result["retries"] == 0, "waiting uses up no retry"


def test_time_limits_and_revocation_give_the_slot_back(slots: Slots, start: Start) -> None:
    start("-P", "prefork", "-c", "2")
    task = limited.delay("soft")
    with pytest.raises(SoftTimeLimitExceeded):
        task.get(10)
    assert slots.at_rest() < LEASE / 2

    task = killed.delay("hard")
    with pytest.raises(TimeLimitExceeded):
        task.get(10)
    slots.at_rest(3 * LEASE)

    for name, by in (("term", "SIGTERM"), ("usr1", "SIGUSR1")):
        task = hold.delay(name)
        wait_until(lambda name=name: marks(name).number("running") == 1)
        task.revoke(terminate=True, signal=by)
        slots.at_rest(3 * LEASE)


def test_a_task_that_is_ended_while_it_waits_leaves_no_request(slots: Slots, start: Start) -> None:
    start("-P", "prefork", "-c", "2")
    with slots.scheduler.acquire("a"), slots.scheduler.acquire("b", nested="allow"):
        task = limited.delay("waits")
        wait_until(lambda: slots.waiting() == 1)
        with pytest.raises(SoftTimeLimitExceeded):
            task.get(10)
        wait_until(lambda: slots.waiting() == 0)
        task = hold.delay("waits")
        wait_until(lambda: slots.waiting() == 1)
        task.revoke(terminate=True)
        wait_until(lambda: slots.waiting() == 0)
    assert marks("waits").number("begun") == 0


def test_a_process_killed_in_flight_loses_its_slot_when_its_lease_ends(
    slots: Slots, start: Start
) -> None:
    worker = start("-P", "solo")
    hold.apply_async(args=["killed"])
    wait_until(lambda: marks("killed").number("running") == 1)
    os.kill(worker.id, signal.SIGKILL)
    assert slots.held() == 1
    assert slots.at_rest(3 * LEASE) > 0.1


def test_a_worker_that_is_told_to_end_ends_its_tasks_first(slots: Slots, start: Start) -> None:
    worker = start("-P", "prefork", "-c", "2")
    task = hold.delay("warm")
    wait_until(lambda: marks("warm").number("running") == 1)
    worker.signal(signal.SIGTERM)
    worker.ready("Warm shutdown")
    marks("warm").let()
    assert task.get(10) == "held"
    assert worker.wait() == 0
    assert slots.held() == 0
    assert slots.sessions() == 1
