"""`loco-redis release`: a slot is taken from its holder."""

from __future__ import annotations

import pytest

from loco_redis import LeaseLostError, Task
from tests.cli.calls import invoke
from tests.cli.change.talking import talk
from tests.cli.fleets import Fleet
from tests.waiting import wait_until


def test_a_holder_loses_its_slot(fleet_at_work: Fleet) -> None:
    """Its lease is lost, and who waited has the slot."""
    handle = fleet_at_work.handles[0]
    token = str(handle.lease.token)
    result = invoke("release", token, "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("take slot 0 from webhook at ")
    assert f"(token {token}, weight 2)" in lines[0]
    assert lines[-1] == "done: slot 0 is taken from webhook"
    wait_until(lambda: handle.lease.lost, what="the holder to learn of it")
    with pytest.raises(LeaseLostError):
        fleet_at_work.holder.release_handle(handle)
    now = fleet_at_work.observer.snapshot()
    assert (now.held, now.waiting, now.reclaimed) == (2, 3, 1)


def test_a_body_is_cancelled(fleet_at_work: Fleet) -> None:
    """A with-block ends by LeaseLostError, though its process is well."""
    fleet_at_work.holder.reconfigure(capacity=20)

    def work() -> None:
        with fleet_at_work.holder.acquire("victim", timeout=5.0, nested="allow") as lease:
            result = invoke("release", str(lease.token), "-y", "-u", fleet_at_work.url)
            assert result.exit_code == 0, result.output
            wait_until(lambda: lease.lost)

    with pytest.raises(LeaseLostError):
        work()


def test_by_slot_it_is_that_lease(fleet_at_work: Fleet) -> None:
    """Not who gets the slot while it asks: the lease that it showed has ended by itself."""

    def finish() -> None:
        fleet_at_work.holder.release_handle(fleet_at_work.handles[1])

    told = talk("y", "release", "--slot", "1", "-u", fleet_at_work.url, meanwhile=finish)
    assert "take slot 1 from" in told
    assert told.endswith("exit 1")
    now = fleet_at_work.observer.snapshot()
    assert (now.held, now.reclaimed) == (2, 0)


def test_asked_and_agreed(fleet_at_work: Fleet) -> None:
    told = talk("y", "release", "--slot", "1", "-u", fleet_at_work.url)
    assert "done: slot 1 is taken from batch" in told
    assert told.endswith("exit 0")
    told = talk("n", "release", "--slot", "0", "-u", fleet_at_work.url)
    assert "nothing was done" in told
    assert not fleet_at_work.handles[0].lease.lost


def test_what_becomes_of_a_durable_task_is_said(fleet_at_work: Fleet) -> None:
    task = fleet_at_work.holder.submit_task("later", Task())
    fleet_at_work.holder.reconfigure(capacity=20)
    lease = fleet_at_work.hold("later").lease
    result = invoke("release", str(lease.token), "--yes", "-u", fleet_at_work.url)
    assert f"Its durable task {task} was on attempt 1" in result.output
    assert [row.state for row in fleet_at_work.observer.tasks()] == ["queued"]


def test_nothing_found(fleet_at_work: Fleet) -> None:
    for arguments, message in [
        (("5",), "Error: no lease of llm_api has token 5: it has ended, or never was\n"),
        (("--slot", "7"), "Error: nobody holds slot 7 of llm_api\n"),
    ]:
        result = invoke("release", *arguments, "--yes", "-u", fleet_at_work.url)
        assert (result.exit_code, result.output) == (1, message)


def test_one_of_token_and_slot(fleet_at_work: Fleet) -> None:
    for arguments in ((), ("5", "--slot", "1")):
        result = invoke("release", *arguments, "--yes", "-u", fleet_at_work.url)
        assert result.exit_code == 2
        assert "give a TOKEN" in result.output
