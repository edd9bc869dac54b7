"""Running the real command line in a process of its own, and finding what it leaves behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import wait_until

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

_MARK = "LOCO_TEST_RUN"
_ROOT = Path(__file__).parents[2]
_started: list[Command] = []


@dataclass
class Command:
    """One run of `loco-redis ...`; `mark` is in the environment of all processes it starts."""

    arguments: tuple[str, ...]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def _popen(self, **options: object) -> subprocess.Popen[bytes]:
        _started.append(self)
        env = {**os.environ, _MARK: self.mark, "TERM": "xterm-256color"}
        for size in ("LINES", "COLUMNS"):  # of pytest's readline: a terminal tells its own
            env.pop(size, None)
        return subprocess.Popen(
            [sys.executable, "-m", "loco_redis.cli", *self.arguments],
            env=env,
            cwd=_ROOT,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Without a terminal; its output in pipes, unbuffered: who has read a line may still ask
        for the rest by `communicate`."""
        return self._popen(
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )

    def run(self) -> tuple[int, str, str]:
        """To its end: (exit status, stdout, stderr)."""
        process = self.start()
        out, err = process.communicate(timeout=60)
        return process.returncode, out.decode(), err.decode()

    def run_on_terminal(self, rows: int = 30, columns: int = 100) -> tuple[int, str]:
        """To its end on a terminal of that size: (exit status, what the terminal got)."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = self._popen(stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        got = bytearray()
        # The kernel answers EIO once nobody has the other end open.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 65536):
                got += chunk
        os.close(ours)
        return process.wait(timeout=10), got.decode()

    def processes(self, containing: str = "") -> list[int]:
        """The pids of its processes whose command line contains a text; none without /proc."""
        return [
            int(entry.name)
            for entry in Path("/").glob("proc/*")
            if entry.name.isdigit() and self._is_ours(entry, containing)
        ]

    def assert_nothing_runs(self) -> None:
        wait_until(lambda: not self.processes(), what=f"the end of all of {self.arguments}")

    def kill(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _is_ours(self, entry: Path, containing: str) -> bool:
        try:
            environment = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            return False
        return f"{_MARK}={self.mark}".encode() in environment and containing.encode() in command


def kill_started() -> None:
    """Nothing that a failed test left running writes into the next one's Redis."""
    while _started:
        _started.pop().kill()


def loco_redis(*arguments: str) -> Command:
    return Command(arguments)
