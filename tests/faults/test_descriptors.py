"""A process that may open no more files goes on with what it has, and recovers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.faults.conftest import Seen
from tests.schedulers import Schedulers
from tests.waiting import eventually
from tests.workers import ROOT

LEASE = 0.5
PROGRAM = Path(__file__).parent / "programs" / "starving.py"
PATIENCE = 1.0  # of the program: its backend_timeout


class Starving:
    """The program, and what it tells."""

    def __init__(self, url: str, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), url, str(LEASE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(directory)},
        )

    async def expect(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        facts: dict[str, Any] = json.loads(line)
        assert facts["event"] == event, facts
        return facts

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


async def test_out_of_file_descriptors(schedulers: Schedulers, tmp_path: Path, seen: Seen) -> None:
    """Open connections serve, and keep the lease, for as long as they last. What needs another
    gets a typed error that says why; all recovers when there are descriptors again."""
    async with schedulers(capacity=3, lease_ttl=LEASE):
        program = Starving(schedulers.server.url, tmp_path)
        try:
            told = await program.expect("open")
            assert told["passed"] > 0
            assert (told["lost"], told["uncertain"]) == (False, False)
            passed = told["passed"]
            for kind in ("new", "embedded"):
                told = await program.expect(kind)
                assert told["error"] == "BackendUnavailableError"
                assert "Too many open files" in told["why"]
            told = await program.expect("blocking")
            assert told["error"] == "BackendError"
            assert "Too many open files" in told["why"]
            assert os.listdir(tmp_path) == []  # no embedded server has left its directory
            await program.expect("cut me")
            _cut(schedulers)
            program.go_on()
            cut = await program.expect("cut")
            assert cut["error"] == "BackendUnavailableError"
            assert "Too many open files" in cut["why"]
            assert cut["after"] < PATIENCE + 0.5
            again = [(await program.expect("again"))["after"] for _ in range(3)]
            assert max(again) < 5.0
            await program.expect("closed")
            assert await asyncio.to_thread(program.process.wait, 10) == 0
        finally:
            program.end()
        await eventually(lambda: len(schedulers.dump().sessions) == 1)
    seen(
        "a process with no descriptor left for three leases, then its connections cut, too",
        f"{passed} passages and 0 leases lost before the cut; a call then failed as unavailable "
        f"after {cut['after']:.2f} s (backend_timeout {PATIENCE:g} s); with descriptors again "
        f"served after {again[0]:.2f} s",
    )


def _cut(schedulers: Schedulers) -> None:
    """Break every connection but that of the test itself."""
    client = schedulers.server.client
    for row in client.client_list():
        if int(row["id"]) != client.client_id():
            client.client_kill_filter(_id=row["id"])
