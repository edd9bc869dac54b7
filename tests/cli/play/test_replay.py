"""Replaying small traces: exact figures, what is refused, and what happens when it goes wrong."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import Command, loco_redis, needs_proc
from tests.servers import Server
from tests.waiting import STARTED, wait_until

pytestmark = needs_proc

WriteTrace = Callable[..., Path]


def rows(count: int, *, apart: float, context: int, generated: int = 0) -> list[str]:
    return [
        f"2023-11-16 18:{n * apart // 60:02.0f}:{n * apart % 60:06.3f},{context},{generated}"
        for n in range(count)
    ]


def replay(trace: Path, *options: str) -> Command:
    return loco_redis("replay", str(trace), *options)


def test_one_slot_serves_in_turn(write_trace: WriteTrace, server: Server) -> None:
    """Four requests at once on one slot wait 0, 1, 2, 3 ticks; costs and the peak are exact."""
    trace = write_trace(*rows(4, apart=0, context=2000, generated=250))
    options = ("--workers", "1", "--agents", "1", "--capacity", "1", "--speed", "60")
    status, out, err = replay(trace, *options, "--redis", server.url, "--json").run()
    assert (status, err) == (0, ""), out + err
    found = json.loads(out)
    assert found["ok"]
    assert (found["requests"], found["served"], found["lost"]) == (4, 4, 0)
    assert (found["peak"], found["capacity"], found["fairness"]) == (1, 1, 1.0)
    (agent,) = found["agents"]
    assert (agent["agent"], agent["grants"]) == ("agent-1", 4)
    assert agent["cost"] == 4 * (2000 + 4 * 250) / 1000
    assert agent["wait_ticks"] == {"p50": 1, "p95": 3, "p99": 3, "mean": 1.5}
    # Each holds the slot for 2000 / 2000 + 250 * 0.045 = 12.25 s of the trace.
    assert 3 * 12.25 <= agent["wait_seconds"]["p99"] < 6 * 12.25
    assert 0.5 < found["utilization"] <= 1
    assert server.client.keys() == []


def test_requests_are_dealt_and_all_served(write_trace: WriteTrace) -> None:
    """Three workers and four agents: each agent gets its share, and the table names them all."""
    trace = write_trace(*rows(50, apart=0.5, context=1000, generated=20))
    options = ("--agents", "4", "--capacity", "2", "--speed", "50", "--optimize-for", "latency")
    status, out, err = replay(trace, *options).run()
    assert status == 0, out + err
    assert err.startswith("no Redis given")
    table = dict(
        line.split()[:2] for line in out.splitlines() if line.startswith(("agent-", "all "))
    )
    assert table == {"agent-1": "24", "agent-2": "12", "agent-3": "8", "agent-4": "6", "all": "50"}
    for figure in ("utilisation", "fairness of mean waits", "most slots held at once", "grants"):
        assert figure in out


def test_limit_stops_before_a_bad_row(write_trace: WriteTrace) -> None:
    """Only the first requests are read and replayed."""
    trace = write_trace(*rows(3, apart=0, context=10), "bad")
    status, out, _ = replay(trace, "--limit", "3", "--json").run()
    assert (status, json.loads(out)["served"]) == (0, 3)


def test_a_malformed_row_stops_before_anything_is_submitted(
    write_trace: WriteTrace, server: Server
) -> None:
    """One line names the row; Redis is not even asked."""
    trace = write_trace(*rows(3, apart=0, context=10), "2023-11-16 18:00:00,10,many")
    calls = server.client.info("stats")["total_connections_received"]
    status, out, err = replay(trace, "--redis", server.url).run()
    assert (status, out) == (2, "")
    message = "GeneratedTokens 'many' is not a whole number from 0"
    assert err == f"Error: {trace}, line 5: {message}\n"
    assert server.client.info("stats")["total_connections_received"] == calls


def test_a_progress_bar_on_a_terminal(write_trace: WriteTrace) -> None:
    """It is there while requests are served and gone afterwards, with the cursor back."""
    trace = write_trace(*rows(20, apart=1, context=1000))
    status, got = replay(trace, "--speed", "20").run_on_terminal()
    assert status == 0, got
    assert "20/20" in got
    assert got.rindex("\x1b[?25h") > got.rindex("\x1b[?25l")
    assert "served" not in got[got.rindex("\x1b[?25h") :]


def test_interrupted_in_the_middle(write_trace: WriteTrace, server: Server) -> None:
    """Ctrl-C leaves neither a process nor a key."""
    trace = write_trace(*rows(600, apart=0.1, context=1000))
    command = replay(trace, "--speed", "1", "--redis", server.url)
    process = command.start()
    wait_until(lambda: server.client.keys("*:holders"), STARTED, "a holder")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (130, b"")
    assert err.decode() == "interrupted: the workers have ended\n"
    assert server.client.keys() == []
    command.assert_nothing_runs()


def test_a_lost_worker_is_named(write_trace: WriteTrace, server: Server) -> None:
    """Requests of a worker that dies are lost: status 1, one line, nothing left behind."""
    trace = write_trace(*rows(600, apart=0.1, context=1000))
    command = replay(trace, "--speed", "1", "--redis", server.url)
    process = command.start()
    wait_until(lambda: server.client.keys("*:holders"), STARTED, "a holder")
    os.kill(command.processes("_replay_worker")[0], signal.SIGKILL)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "ended with SIGKILL" in err.decode()
    assert len(err.splitlines()) == 1
    assert server.client.keys() == []
    command.assert_nothing_runs()


@pytest.mark.slow
def test_everything_at_once(write_trace: WriteTrace) -> None:
    """Two thousand requests at the same moment wait together, and each is served once."""
    trace = write_trace(*rows(2000, apart=0, context=100))
    status, out, err = replay(trace, "--speed", "1000", "--agents", "50", "--json").run()
    assert status == 0, out + err
    found = json.loads(out)
    assert (found["served"], found["lost"], found["peak"]) == (2000, 0, 8)
