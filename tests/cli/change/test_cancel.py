"""`loco-redis cancel`: requests and durable tasks, by ids that look alike."""

from __future__ import annotations

from loco_redis import EvictedError, Task
from tests.cli.calls import invoke
from tests.cli.change.talking import talk
from tests.cli.fleets import Fleet
from tests.waiting import wait_until


def _waiting(fleet: Fleet, agent: str) -> str:
    return next(
        row.request_id for row in fleet.observer.requests().waiters if row.agent_id == agent
    )


def test_who_waits_gets_an_evicted_error(fleet_at_work: Fleet) -> None:
    request = _waiting(fleet_at_work, "report")
    result = invoke("cancel", request, "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    first, last = result.output.splitlines()
    assert first.startswith(f"cancel {request}  report  ")
    assert first.endswith("it gets EvictedError")
    assert last == "done: 1 cancelled"
    wait_until(lambda: fleet_at_work.errors, what="the waiter's error")
    assert [type(error) for error in fleet_at_work.errors] == [EvictedError]
    assert fleet_at_work.observer.snapshot().waiting == 3


def test_who_holds_loses_the_slot(fleet_at_work: Fleet) -> None:
    request = fleet_at_work.observer.requests().holders[0].request_id
    result = invoke("cancel", request, "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    assert "holds slot 0 for" in result.output
    wait_until(lambda: fleet_at_work.handles[0].lease.lost)


def test_a_durable_task_is_removed(fleet_at_work: Fleet) -> None:
    task = fleet_at_work.holder.submit_task("later", Task(weight=3.0))
    result = invoke("cancel", task, "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    assert f"cancel {task}  later  a queued task of weight 3: it is removed for good" in (
        result.output
    )
    assert fleet_at_work.observer.snapshot().durable_tasks == 0


def test_a_running_task_is_left_to_release(fleet_at_work: Fleet) -> None:
    task = fleet_at_work.holder.submit_task("later")
    fleet_at_work.holder.reconfigure(capacity=20)
    fleet_at_work.hold("later")
    result = invoke("cancel", task, "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    assert f"task {task} is running: `loco-redis release` takes its slot away" in result.output


def test_several_at_once(fleet_at_work: Fleet) -> None:
    """What is there is done, what is not is told, by status 1."""
    ids = [_waiting(fleet_at_work, "batch"), fleet_at_work.holder.submit_task("later")]
    result = invoke("cancel", *ids, "nothing:1", ids[0], "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    assert result.output.splitlines()[-2:] == [
        "done: 2 cancelled",
        "Error: no request or task nothing:1: ended, or never there",
    ]
    assert fleet_at_work.observer.snapshot().waiting == 3


def test_nothing_found(fleet_at_work: Fleet) -> None:
    result = invoke("cancel", "\x1b[31m", "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    assert result.output == "Error: no request or task \\x1b[31m: ended, or never there\n"


def test_what_ends_while_it_asks(fleet_at_work: Fleet) -> None:
    request = _waiting(fleet_at_work, "report")

    def other() -> None:
        fleet_at_work.holder.operations.cancel(request)

    told = talk("y", "cancel", request, "-u", fleet_at_work.url, meanwhile=other)
    assert "done: 0 cancelled" in told
    assert f"no request or task {request}" in told
    assert told.endswith("exit 1")
