"""What the commands say of a backlog: delayed and dead tasks, and who waits to serve any."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from loco_redis.errors import LocoRedisError
from loco_redis.metrics.points import resource_points
from loco_redis.metrics.reading import read
from loco_redis.observe.events import KINDS
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.servers import Server
from tests.waiting import wait_until


def told(fleet: Fleet, *arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json", "-u", fleet.url)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def shown(fleet: Fleet, *arguments: str) -> str:
    result = invoke(*arguments, "-u", fleet.url)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def fleet(server: Server) -> Iterator[Fleet]:
    """One slot, which nobody holds, and a log."""
    with Fleet(server.url, "llm_api", 1, events=1000) as fleet:
        yield fleet


@pytest.fixture
def idle_server(fleet: Fleet) -> Iterator[None]:
    """Somebody waits in `serve` until the end."""

    def serve() -> None:
        with suppress(LocoRedisError), fleet.waiter.serve():
            pytest.fail("there is no task")

    thread = threading.Thread(target=serve)
    thread.start()
    wait_until(lambda: fleet.observer.snapshot().serving == 1)
    yield
    fleet.waiter.shutdown(timeout=0.0)
    thread.join()


def fail(fleet: Fleet, agent: str, error: str, **options: Any) -> str:
    """A task of this agent fails; returns its id."""
    task_id: str = fleet.holder.submit_task(agent, **options)
    with fleet.holder.serve(timeout=5.0) as lease:
        assert lease.task.task_id == task_id
        lease.fail(error, retry_in=3600.0)
    return task_id


def test_why_a_task_died(fleet: Fleet) -> None:
    """It failed, in words that cannot move the cursor; its deadline passed; its holder was gone."""
    failed = fail(fleet, "a", "\x1b[2J[red]boom" + "!" * 300, max_attempts=1)
    late = fleet.holder.submit_task("b", deadline=0.01)
    wait_until(lambda: fleet.holder.snapshot().dead_tasks == 2)
    gone = fleet.holder.submit_task("c", max_attempts=1)
    fleet.holder.operations.release(fleet.hold("c").lease.token)
    rows = {row["task_id"]: row for row in told(fleet, "dead")["tasks"]}
    assert {task: row["ended_by"] for task, row in rows.items()} == {
        failed: "failed", late: "deadline", gone: "holder"
    }  # fmt: skip
    assert rows[failed]["error"] == "\x1b[2J[red]boom" + "!" * 300
    assert rows[late]["error"] is None
    assert rows[late]["deadline_in"] < 0
    text = shown(fleet, "dead")
    assert "\x1b" not in text
    assert "failed:\\x1b[2J[red]boom!" in re.sub(r"\s+", "", text)
    assert "its deadline has passed" in text
    assert "its holder was gone" in text
    assert "used up their attempts, or missed their deadlines" in re.sub(
        r"\s+", " ", shown(fleet, "doctor", "-n", "llm_api")
    )
    again = invoke("requeue", "--all", "-y", "-u", fleet.url)
    assert again.exit_code == 0, again.output
    rows = told(fleet, "tasks")["tasks"]
    assert {row["state"] for row in rows} == {"queued"}
    assert {(row["ended_by"], row["error"], row["deadline_in"]) for row in rows} == {
        (None, None, None)
    }


def test_delayed_tasks(fleet: Fleet) -> None:
    """Until when, with what else was said of them, and what they failed with before."""
    first = fleet.holder.submit_task(
        "night", delay=3600, deadline=7200, dedup_key="k\x1b", result_ttl=60.0
    )
    retried = fail(fleet, "day", "no answer", max_attempts=3)
    rows = {row["task_id"]: row for row in told(fleet, "tasks", "--state", "delayed")["tasks"]}
    assert rows.keys() == {first, retried}
    assert 3590 < rows[first]["due_in"] <= 3600
    assert 7190 < rows[first]["deadline_in"] <= 7200
    assert (rows[first]["dedup_key"], rows[first]["result_ttl"]) == ("k\x1b", 60.0)
    assert (rows[retried]["attempt"], rows[retried]["error"]) == (1, "no answer")
    text = shown(fleet, "tasks")
    assert "\x1b" not in text
    assert re.search(r"night +delayed .*due in (1h00m|60m00s|59m\d\ds); deadline in", text), text
    assert "failed: no answer" in text
    assert (told(fleet, "status")["delayed_tasks"], told(fleet, "status")["problems"]) == (2, [])
    assert "2 durable, 2 of them delayed" in shown(fleet, "status")
    assert told(fleet, "agents")["total"] == 0
    gone = invoke("cancel", first, "-y", "-u", fleet.url)
    assert gone.exit_code == 0, gone.output
    assert told(fleet, "tasks")["total"] == 1


def test_why_an_agent_waits_whose_tasks_are_delayed(fleet: Fleet) -> None:
    """It is known by them, and waits for nothing but the time."""
    for delay in (1800, 3600):
        fleet.holder.submit_task("night", delay=delay)
    fleet.holder.submit_task("other", delay=60)
    found = told(fleet, "why", "night")
    assert (found["state"], found["standing"]) == ("delayed", None)
    (blocker,) = found["blockers"]
    assert blocker["kind"] == "delayed"
    assert 1790 < blocker["seconds"] <= 1800
    assert found["reason"].startswith("night waits for nothing: 2 tasks of it are delayed, one due")
    assert "1 task of it is delayed, and due in" in shown(fleet, "why", "other")
    fleet.holder.submit_task("night")
    found = told(fleet, "why", "night")
    assert found["state"] == "unserved"
    assert [blocker["kind"] for blocker in found["blockers"]] == ["no_request", "delayed"]


@pytest.mark.usefixtures("idle_server")
def test_who_waits_to_serve_any_agent(fleet: Fleet) -> None:
    """Is counted, and is no waiter of an agent without a name."""
    assert (told(fleet, "waiters")["waiters"], told(fleet, "waiters")["serving"]) == ([], 1)
    assert "1 request waits for a task of any agent" in shown(fleet, "waiters")
    status = told(fleet, "status")
    assert (status["waiting"], status["serving"], status["longest_waiting"]) == (0, 1, [])
    assert "1 asks for a task of any agent" in shown(fleet, "status")
    assert told(fleet, "top", "--no-stream")["serving"] == 1
    assert "1 idle in serve()" in shown(fleet, "top", "--no-stream")
    assert "1 ready to serve any agent" in shown(fleet, "doctor", "-n", "llm_api")
    assert told(fleet, "agents")["agents"] == []
    assert told(fleet, "holders")["holders"] == []
    points = resource_points(read(fleet.observer, 10), 10)
    values = {name: [point.value for point in found] for name, found in points.items()}
    assert values["loco_redis_idle_servers"] == [1]
    assert values["loco_redis_waiters"] == [0]
    assert "loco_redis_agent_waiters" not in values


@pytest.mark.usefixtures("idle_server")
def test_why_an_agent_waits_whose_tasks_would_be_served(fleet: Fleet) -> None:
    """It is ranked as those are who ask themselves; without a server it says so."""
    fleet.hold("busy")
    fleet.holder.submit_task("batch", weight=2.0)
    fleet.holder.submit_task("small", weight=1.0)
    found = told(fleet, "why", "batch")
    assert (found["state"], found["standing"]["rank"], found["requests"]) == ("waiting", 1, [])
    assert found["reason"] == "batch waits: the only slot is held; it is next."
    small = told(fleet, "why", "small")
    assert [row["agent_id"] for row in small["before"]] == ["batch"]
    fleet.waiter.shutdown(timeout=0.0)
    wait_until(lambda: not fleet.observer.snapshot().serving)
    assert told(fleet, "why", "batch")["state"] == "unserved"
    for task in fleet.observer.tasks():
        fleet.holder.cancel_task(task.task_id)


def test_tasks_that_are_being_served(fleet: Fleet) -> None:
    """Why a queued one is not: all who serve are at others."""
    fleet.holder.submit_task("first")
    with fleet.holder.serve():
        fleet.holder.submit_task("second")
        reason = told(fleet, "why", "second")["reason"]
        assert reason == (
            "second has 1 task queued, and nobody asks for a slot to serve them now: "
            "1 task is being served."
        )
        assert told(fleet, "tasks", "--state", "running")["total"] == 1


def test_when_a_delayed_task_joins_its_queue(fleet: Fleet) -> None:
    """The log says it, and which attempt is next."""
    assert "due" in KINDS
    task_id = fleet.holder.submit_task("a", delay=0.02)
    with fleet.holder.serve(timeout=5.0) as lease:
        assert lease.task.task_id == task_id
    (event,) = told(fleet, "events", "--kind", "due")["events"]
    assert (event["agent_id"], event["facts"]) == ("a", {"id": task_id, "attempt": 0})
    assert f"a           task {task_id} joins its queue" in shown(fleet, "events")


def test_metrics(fleet: Fleet) -> None:
    """Delayed and dead tasks are gauges."""
    fleet.holder.submit_task("a", delay=3600)
    fail(fleet, "b", "x", max_attempts=1)
    points = resource_points(read(fleet.observer, 10), 10)
    names = ("durable_tasks", "delayed_tasks", "dead_tasks", "idle_servers")
    values = [points[f"loco_redis_{name}"][0].value for name in names]
    assert values == [2, 1, 1, 0]
