"""The real demo: a server, three workers, a SIGKILL, on a terminal and without one."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from tests.cli.commands import loco_redis, needs_proc
from tests.servers import Server
from tests.waiting import STARTED, wait_until

pytestmark = [needs_proc, pytest.mark.slow]


def test_lines_and_a_summary_without_a_terminal() -> None:
    """One line a decision, the kill, the reclaim, a second attempt, and every promise held."""
    command = loco_redis("demo", "--seconds", "6")
    status, out, err = command.run()
    assert (status, err) == (0, ""), out + err
    assert "\x1b" not in out
    grants = re.search(r"^(\d+) grants in", out, re.M)
    assert grants is not None
    decisions = re.findall(r"^ *[\d.]+ s  slot \d -> \S+ +worker-\d  score", out, re.M)
    assert len(decisions) == int(grants[1]) > 20
    assert len(re.findall(r"SIGKILL worker-\d while it holds slot", out)) == 1
    assert len(re.findall(r"RECLAIMED \d slots? .* after the kill", out)) == 1
    assert "attempt 2" in out
    assert len(re.findall(r"^ok ", out, re.M)) == 5
    command.assert_nothing_runs()


def test_json_on_a_given_redis_leaves_no_key(server: Server) -> None:
    """Stdout is one JSON object; the server is as it was before."""
    status, out, err = loco_redis("demo", "--seconds", "5", "--json", "--redis", server.url).run()
    assert (status, err) == (0, ""), out + err
    summary = json.loads(out)
    assert summary["ok"]
    assert summary["peak"] <= summary["capacity"] == 3
    assert 0 < summary["reclaim_seconds"] <= summary["reclaim_bound"]
    assert summary["durable"]["submitted"] == summary["durable"]["completed"]
    assert summary["durable"]["repeated"] >= 1
    assert sum(row["grants"] for row in summary["agents"]) == summary["grants"]
    assert server.client.keys() == []


def test_a_live_table_on_a_terminal() -> None:
    """It is redrawn in place and gone at the end: cursor shown, only notes and summary remain."""
    command = loco_redis("demo", "--seconds", "5")
    status, got = command.run_on_terminal()
    assert status == 0, got
    assert "held for" in got
    assert got.rindex("\x1b[?25h") > got.rindex("\x1b[?25l")
    after = got[got.rindex("\x1b[?25h") :]
    assert "held for" not in after
    assert "never more holders than slots" in after
    command.assert_nothing_runs()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle(server: Server, number: signal.Signals) -> None:
    """It ends in one line, without a process or a key left, by the usual status."""
    command = loco_redis("demo", "--redis", server.url)
    process = command.start()
    assert process.stdout is not None
    while b"worker-" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 128 + number
    assert err.decode() == "interrupted: the workers have ended\n"
    assert server.client.keys() == []
    command.assert_nothing_runs()


def test_nobody_reads_the_output_any_more() -> None:
    """As with `| head`: it ends by status 1 without a word."""
    command = loco_redis("demo")
    process = command.start()
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=15) == 1
    command.assert_nothing_runs()


def test_workers_do_not_outlive_a_killed_demo() -> None:
    """SIGKILL of the demo itself ends its workers and its server, too."""
    command = loco_redis("demo")
    process = command.start()
    wait_until(lambda: len(command.processes("_demo_worker")) == 3, STARTED)
    process.kill()
    process.communicate(timeout=15)
    command.assert_nothing_runs()


def test_a_worker_that_dies_by_itself_is_named() -> None:
    """Only the demo may kill; another death ends it by status 1 and one line."""
    command = loco_redis("demo")
    process = command.start()
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(command.processes("_demo_worker")[0], signal.SIGKILL)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 1
    assert re.fullmatch(r"Error: worker-\d \(pid \d+\) ended with SIGKILL: .*\n", err.decode())
    command.assert_nothing_runs()
