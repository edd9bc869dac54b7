"""`loco-redis drain`: it waits until nobody holds, and says who does."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.cli.calls import invoke
from tests.cli.commands import loco_redis
from tests.cli.fleets import Fleet
from tests.waiting import STARTED, wait_until


def _drained(fleet: Fleet, *options: str) -> tuple[int, list[str]]:
    """Its exit status and lines, where the holders finish one by one as it tells their number."""
    process = loco_redis("drain", "--timeout", "1m", "-u", fleet.url, *options).start()
    assert process.stdout is not None
    lines = [process.stdout.readline().decode()]
    for handle in fleet.handles:
        fleet.holder.release_handle(handle)
        lines.append(process.stdout.readline().decode())
    out, _ = process.communicate(timeout=30)
    return process.returncode, "".join([*lines, out.decode()]).splitlines()


def test_it_ends_when_nobody_holds(fleet_at_work: Fleet) -> None:
    """A line whenever the number changes; waiters keep waiting."""
    status, lines = _drained(fleet_at_work)
    assert (status, lines) == (
        0,
        [
            "2 held",
            "1 held",
            "nobody holds a slot",
            "llm_api is drained: resume with `loco-redis resume -n llm_api`",
        ],
    )
    now = fleet_at_work.observer.snapshot()
    assert (now.paused, now.held, now.waiting) == (True, 0, 4)


def test_who_still_holds_is_listed_when_the_time_is_up(fleet_at_work: Fleet) -> None:
    result = invoke("drain", "--timeout", "0.2s", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == "2 held"
    assert any(line.startswith("0      webhook") for line in lines), result.output
    assert lines[-1] == (
        "Error: llm_api is not drained after 0.20s: 2 still held; "
        "resume with `loco-redis resume -n llm_api`"
    )
    assert fleet_at_work.observer.snapshot().paused


def test_it_may_resume_afterwards(fleet_at_work: Fleet) -> None:
    """Drained or not."""
    result = invoke("drain", "--timeout", "0", "--resume", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    assert result.output.endswith("2 still held; it grants again\n")
    assert not fleet_at_work.observer.snapshot().paused
    status, lines = _drained(fleet_at_work, "--resume")
    assert (status, lines[-1]) == (0, "llm_api is drained: it grants again")
    now = fleet_at_work.observer.snapshot()
    assert (now.paused, now.held, now.waiting) == (False, 2, 2)


def test_somebody_else_may_resume(fleet_at_work: Fleet) -> None:
    """Then it would wait for ever."""

    def resume() -> None:
        wait_until(lambda: fleet_at_work.observer.snapshot().paused, STARTED)
        fleet_at_work.waiter.operations.resume()

    resuming = threading.Thread(target=resume)
    resuming.start()
    result = invoke("drain", "-u", fleet_at_work.url)
    resuming.join()
    assert result.exit_code == 1
    assert "somebody else has resumed llm_api meanwhile: 2 held" in result.output


@pytest.mark.parametrize("resume", [False, True])
def test_it_can_be_interrupted(fleet_at_work: Fleet, resume: bool) -> None:
    """It says in which state that leaves the resource."""
    options = ["--resume"] if resume else []
    command = loco_redis("drain", "-u", fleet_at_work.url, *options)
    process = command.start()
    wait_until(lambda: fleet_at_work.observer.snapshot().paused, STARTED)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert ("it grants again" if resume else "it stays paused: resume with") in err.decode()
    assert "Traceback" not in err.decode()
    assert fleet_at_work.observer.snapshot().paused != resume
    command.assert_nothing_runs()


def test_a_terminal_shows_the_holders_meanwhile(fleet_at_work: Fleet) -> None:
    """The picture is gone when it ends, and the cursor is back."""
    command = loco_redis("drain", "--timeout", "0.5", "-u", fleet_at_work.url)
    status, got = command.run_on_terminal()
    assert status == 1
    assert "2 held, 0." in got
    assert got.rindex("\x1b[?25h") > got.rindex("\x1b[?25l")


def test_a_timeout_is_a_span_of_time(fleet_at_work: Fleet) -> None:
    for text, message in [("soon", "'soon' is not a span of time"), ("8d", "is not in the range")]:
        result = invoke("drain", "--timeout", text, "-u", fleet_at_work.url)
        assert result.exit_code == 2
        assert message in result.output
    assert not fleet_at_work.observer.snapshot().paused
