"""`bench run --netem`: everything runs once more inside a network namespace of its own.

Where the kernel has no netem, a `tc` that only writes down what it was told stands in for the real
one, so that all but the delay itself is tested.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import loco_redis, needs_proc

pytestmark = needs_proc

SMALL = ("--hosts", "1", "--workers", "1", "--tasks", "4", "--duration", "1s", "--warmup", "0s")
UNSHARE = ("unshare", "--net", *(() if os.geteuid() == 0 else ("--map-root-user",)))


def _reason_against(*inside: str) -> str:
    """Why `inside` cannot be run in a network namespace of its own; empty if it can."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return "network namespaces are Linux', by unshare"
    done = subprocess.run([*UNSHARE, *inside], capture_output=True, text=True)
    return done.stderr.strip() or "refused" if done.returncode else ""


_NO_NAMESPACES = _reason_against("ip", "link")
_NO_NETEM = _reason_against("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")

needs_namespaces = pytest.mark.skipif(
    bool(_NO_NAMESPACES), reason=f"no namespaces here: {_NO_NAMESPACES}"
)
needs_netem = pytest.mark.skipif(bool(_NO_NETEM), reason=f"no netem here: {_NO_NETEM}")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a `tc` was told that does nothing: a line for each call, its namespace first."""
    lines = tmp_path / "told"
    stand_in = tmp_path / "bin" / "tc"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\necho "$(readlink /proc/self/ns/net) $*" >>"{lines}"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    return lines


@needs_namespaces
def test_it_runs_inside_a_namespace_of_its_own(told: Path) -> None:
    """Server, host and worker find each other on its loopback; outside nothing was set."""
    words = "delay 10ms 2ms loss 0.1%"
    command = loco_redis("bench", "run", *SMALL, "--netem", words, "--json")
    status, out, err = command.run()
    assert status == 0, err
    report = json.loads(out)
    assert report["ok"]
    assert report["plan"]["netem"] == words
    calls = [line.partition(" ") for line in told.read_text().splitlines()]
    assert {call[2] for call in calls} == {f"qdisc add dev lo root netem {words}"}
    assert os.readlink("/proc/self/ns/net") not in {call[0] for call in calls}
    command.assert_nothing_runs()


@needs_namespaces
def test_what_the_kernel_has_not_is_said_in_one_line(told: Path) -> None:
    tc = told.parent / "bin" / "tc"
    tc.write_text("#!/bin/sh\necho 'Error: Specified qdisc kind is unknown.' >&2; exit 2\n")
    status, _, err = loco_redis("bench", "run", *SMALL, "--netem", "delay 1ms").run()
    assert (status, err.strip()) == (
        2,
        "Error: --netem 'delay 1ms' is not possible here: "
        "this kernel has no netem (its module sch_netem)",
    )


@needs_netem
def test_messages_are_as_late_as_asked_for() -> None:
    """20 ms each way on the loopback: no round trip takes less than 40 ms."""
    command = loco_redis("bench", "run", *SMALL, "--netem", "delay 20ms", "--json")
    status, out, err = command.run()
    assert status == 0, err
    (host,) = json.loads(out)["runs"][0]["hosts"]
    assert host["ping"] >= 0.04


@needs_netem
def test_words_that_tc_does_not_know_are_refused() -> None:
    status, _, err = loco_redis("bench", "run", *SMALL, "--netem", "delay much").run()
    assert status == 2
    assert "--netem 'delay much' is not possible here" in err


def test_words_that_are_none_are_refused(told: Path) -> None:
    status, _, err = loco_redis("bench", "run", *SMALL, "--netem", "delay '1ms").run()
    assert (status, err.strip()) == (2, 'Error: --netem "delay \'1ms": No closing quotation')
    assert not told.exists()
