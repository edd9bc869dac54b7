"""Ctrl-C at any moment: the program ends, and gives back what it has."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from loco_redis import LOCOScheduler, SharedResource
from tests.faults.conftest import Seen
from tests.schedulers import dump_of
from tests.servers import Server
from tests.waiting import wait_until
from tests.workers import ROOT

LEASE = 0.5
RECLAIMED_WITHIN = LEASE + LEASE / 4 + 1.0
PROGRAM = Path(__file__).parent / "programs" / "interrupted.py"
ENDS_WITHIN = 3.0
STUCK = 2.0  # seconds
PROCESSES, TIMES = 4, 10
# Python's words for a loop that was interrupted before it was made.
_NOT_OURS = "Exception ignored in: <function BaseEventLoop.__del__"
PLACES = {"!": "opening", "o": "opening", "w": "waiting", "h": "holding", "l": "leaving"}


class Interrupt(NamedTuple):
    """Where a program was, how long it took to end what it did, and whether its session was closed
    by then."""

    place: str
    took: float
    was_freed: bool


class End(NamedTuple):
    """How a program ended, which got its last Ctrl-C twice if `twice`, and `insisted` more of them
    when that did not end it."""

    pid: int
    interrupts: list[Interrupt]
    twice: bool
    insisted: int
    status: int
    said: str


def interrupted(server: Server, kind: str, delays: list[float], again: float | None) -> End:
    """A program is interrupted that many times, each `delay` seconds after it has begun anew; the
    last time ends it."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), kind, server.url, str(LEASE), str(len(delays))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    interrupts = []
    insisted = 0
    try:
        for delay in delays:
            # A thread may have something to say after the interrupt.
            while (letter := process.stdout.read(1)) != b"!":
                assert letter, process.stderr and process.stderr.read()
            time.sleep(delay)  # the moment is what is tried
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            is_double = again is not None and len(interrupts) == TIMES - 1
            if again is not None and is_double:
                time.sleep(again)
                process.send_signal(signal.SIGINT)
            places = b"!"
            while True:
                if is_double and not select.select([process.stdout], [], [], STUCK)[0]:
                    # The second one struck where asyncio had taken a callback from its queue: that
                    # is lost, its task never runs again, and only another Ctrl-C ends the program.
                    process.send_signal(signal.SIGINT)
                    insisted += 1
                elif (letter := process.stdout.read(1)) in (b"x", b""):
                    break
                else:
                    places = letter
            if not letter:
                process.wait(20)
            took = time.monotonic() - began
            freed = not _has_session(server, process.pid)
            interrupts.append(Interrupt(PLACES.get(places.decode(), "closing"), took, freed))
            if letter:
                process.stdin.write(b"\n")
        said = process.communicate(timeout=20)[1].decode()
    finally:
        process.kill()
    return End(process.pid, interrupts, again is not None, insisted, process.returncode, said)


def _has_session(server: Server, pid: int) -> bool:
    return any(row.endswith(b"|%d" % pid) for row in dump_of(server).sessions.values())


@pytest.mark.parametrize("kind", ["async", "blocking", "threads"])
def test_ctrl_c(server: Server, kind: str, seen: Seen) -> None:
    """The program ends by KeyboardInterrupt, whatever it is doing; its session is closed then, and
    nothing is held. A second Ctrl-C may cut that short: then all of it expires."""
    rng = random.Random(kind)
    moments = [0.005 * k for k in range(PROCESSES * TIMES)]
    rng.shuffle(moments)
    mine = SharedResource("llm", 1)
    with LOCOScheduler([], mine, redis=server.url, lease_ttl=LEASE) as scheduler:
        scheduler.snapshot()

        def run(index: int) -> End:
            again = rng.random() * 0.02 if index % 2 else None
            return interrupted(server, kind, moments[index::PROCESSES], again)

        with ThreadPoolExecutor(PROCESSES) as pool:
            ends = list(pool.map(run, range(PROCESSES)))
        last = time.monotonic()
        wait_until(lambda: not any(_has_session(server, end.pid) for end in ends))
        assert time.monotonic() - last < RECLAIMED_WITHIN
        assert not dump_of(server).holders
    for end in ends:
        assert end.status == -signal.SIGINT, end
        assert "KeyboardInterrupt" in end.said, end
        # Twice, Python has words of its own for what it did not finish.
        words = ("pending", "ignored") if not end.twice else ()
        ours = end.said.replace(_NOT_OURS, "")
        assert not any(word in ours for word in words), end.said
    twice = [end.interrupts.pop() for end in ends if end.twice]
    once = [interrupt for end in ends for interrupt in end.interrupts]
    longest = max(interrupt.took for interrupt in once + twice)
    assert longest < ENDS_WITHIN
    insisted = sum(end.insisted for end in ends)
    assert insisted <= 1  # Python's own doing, and rare; were it ours, none would end
    freed = sum(interrupt.was_freed for interrupt in once)
    assert freed >= len(once) * 0.9  # it may strike between two lines of Python's own
    places = ", ".join(f"{place} {n}" for place, n in Counter(x.place for x in once).items())
    seen(
        f"{kind}: {len(once)} interrupts ({places}), {len(twice)} double ones",
        f"all ended by KeyboardInterrupt within {longest:.2f} s; everything freed at once in "
        f"{freed} of {len(once)}, and in {sum(x.was_freed for x in twice)} of {len(twice)} double "
        "ones; nothing held afterwards",
    )
