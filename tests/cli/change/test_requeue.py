"""`loco-redis requeue`: dead durable tasks are queued again."""

from __future__ import annotations

import pytest

from loco_redis import Task
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.servers import Server


@pytest.fixture
def dead(server: Server) -> tuple[Fleet, list[str]]:
    """Two tasks of `fragile` that died at their only attempt, and one that is queued."""
    with Fleet(server.url, "llm_api", capacity=1) as fleet:
        tasks = [fleet.holder.submit_task("fragile", Task(max_attempts=1)) for _ in range(2)]
        for _ in tasks:
            fleet.holder.operations.release(fleet.hold("fragile").lease.token)
        fleet.holder.submit_task("other")
        yield fleet, tasks


def _states(fleet: Fleet) -> list[tuple[str, int]]:
    return [(row.state, row.attempt) for row in fleet.observer.tasks()]


def test_one_is_queued_again(dead: tuple[Fleet, list[str]]) -> None:
    """With all of its attempts."""
    fleet, tasks = dead
    result = invoke("requeue", tasks[0], "--yes", "-u", fleet.url)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "queue 1 dead task again, with all attempts:",
        f"  {tasks[0]}  fragile  died after 1 of 1 attempts",
        "done: 1 queued again",
    ]
    assert _states(fleet) == [("queued", 0), ("dead", 1), ("queued", 0)]


def test_all_of_them(dead: tuple[Fleet, list[str]]) -> None:
    fleet, _ = dead
    result = invoke("requeue", "--all", "--yes", "-u", fleet.url)
    assert result.exit_code == 0, result.output
    assert "queue 2 dead tasks again" in result.output
    assert _states(fleet) == [("queued", 0)] * 3
    result = invoke("requeue", "--all", "--yes", "-u", fleet.url)
    assert (result.exit_code, result.output) == (1, "Error: no task of llm_api is dead\n")


def test_what_is_not_dead_is_told(dead: tuple[Fleet, list[str]]) -> None:
    fleet, tasks = dead
    alive = fleet.observer.tasks()[-1].task_id
    result = invoke("requeue", "nothing", alive, tasks[1], "--yes", "-u", fleet.url)
    assert result.exit_code == 1
    assert result.output.splitlines()[-2:] == [
        "done: 1 queued again",
        f"Error: no task nothing; task {alive} is queued",
    ]


def test_tasks_or_all(dead: tuple[Fleet, list[str]]) -> None:
    for arguments in ((), ("--all", "x")):
        result = invoke("requeue", *arguments, "--yes", "-u", dead[0].url)
        assert result.exit_code == 2
        assert "give the ids of TASKs, or --all" in result.output
