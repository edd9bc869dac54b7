"""A server whose wall clock can be set, by a library that is preloaded into it."""

from __future__ import annotations

import mmap
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loco_redis._server import EmbeddedServer
from tests.faults.topologies import client_of, wrapped

_SOURCE = Path(__file__).with_name("clock_shift.c")


class CannotShift(Exception):
    """Why the clock of a server cannot be set on this machine."""


class Clock:
    """The server's wall clock, `shift` seconds off this machine's."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self.shift = 0.0

    def step(self, seconds: float) -> None:
        """Set it forward, or back, by so much."""
        self.shift += seconds
        self._memory[:8] = round(self.shift * 1e6).to_bytes(8, sys.byteorder, signed=True)


@contextmanager
def shifting(binary: Path) -> Iterator[tuple[EmbeddedServer, Clock]]:
    """Such a server; raises CannotShift."""
    compiler = shutil.which("cc")
    if sys.platform != "linux":
        raise CannotShift("LD_PRELOAD is there on Linux only")
    if compiler is None:
        raise CannotShift("there is no C compiler `cc`")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        library, file = directory / "clock_shift.so", directory / "shift"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
        subprocess.run(command, check=True)
        file.write_bytes(bytes(8))
        before = f"export LD_PRELOAD={library} CLOCK_SHIFT={file}"
        program = wrapped(binary, directory, before)
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 8) as memory:
            with EmbeddedServer.start(program, tcp=True) as server:
                clock = Clock(memory)
                clock.step(7200.0)
                with client_of(server) as client:
                    if abs(client.time()[0] - time.time() - 7200) > 60:
                        raise CannotShift(f"{binary} does not ask libc for the time: is it static?")
                clock.step(-7200.0)
                yield server, clock
