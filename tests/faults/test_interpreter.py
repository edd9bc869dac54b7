"""Programs that end with leases held, or in the middle of an acquire."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from loco_redis import LOCOScheduler, SharedResource
from tests.faults.conftest import Seen
from tests.schedulers import dump_of
from tests.servers import Server
from tests.waiting import wait_until
from tests.workers import ROOT

LEASE = 0.5
RECLAIMED_WITHIN = LEASE + LEASE / 4 + 1.0
PROGRAM = Path(__file__).parent / "programs" / "shutdowns.py"
SOON, AT_MOST = 2.0, 6.0  # seconds for most of them; for each, however busy the machine is

# Programs with a chance to say goodbye: their slots are free when they have ended.
FREED_AT_ONCE = {
    "exit_in_a_body",
    "blocking_exit_in_a_body",
    "default_blocking",
    "default_of_a_loop",
    "daemons_of_the_default",
    "used_at_exit",
}
LEFT_TO_EXPIRE = {
    "loop_ends_unclosed",
    "loop_ends_kept",
    "loop_ends_with_tasks",
    "loop_closed",
    "loop_left",
    "loop_of_a_daemon",
    "exit_in_a_body_unclosed",
    "blocking_unclosed",
    "blocking_dropped",
    "at_once",
    "error_at_exit",
    "daemons_hold",
    "daemons_pass",
}
# What is closed by the interpreter's end is lost, and a line says so; on a busy machine a beat may
# be late.
LINES = re.compile(
    r"(lost: <|a heartbeat failed, trying again: |session \w+ of 'llm' expired: ).*\n"
)
OWN_ERROR = re.compile(r"Exception ignored in atexit callback.*\nTraceback [^$]*the user's own\n")


class End(NamedTuple):
    """How a program ended: seconds from its last line to its end, and to the end of its session."""

    name: str
    took: float
    freed_after: float
    was_freed: bool
    status: int
    said: str


def end_of(server: Server, name: str) -> End:
    process = subprocess.Popen(
        [sys.executable, "-W", "default", str(PROGRAM), name, server.url, str(LEASE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    told, said = process.communicate(timeout=30)
    ended = time.time()

    def is_gone() -> bool:
        mark = f"|{process.pid}".encode()
        return not any(row.endswith(mark) for row in dump_of(server).sessions.values())

    was_freed = is_gone()
    wait_until(is_gone, what=f"the end of {name}'s session")
    freed = time.time() - ended
    return End(name, ended - float(told), freed, was_freed, process.returncode, said)


def test_interpreter_shutdown(server: Server, seen: Seen) -> None:
    """Whatever is open, the program ends soon, and nothing of ours is said but that leases are
    lost. The slots are free at once if there is anybody left to say goodbye, else they expire."""
    names = sorted(FREED_AT_ONCE | LEFT_TO_EXPIRE)
    with LOCOScheduler([], SharedResource("llm", 8), redis=server.url, lease_ttl=LEASE) as mine:
        mine.snapshot()
        with ThreadPoolExecutor(3) as pool:
            ends = list(pool.map(lambda name: end_of(server, name), names))
    for end in ends:
        assert end.status == 0, end
        assert end.took < AT_MOST, end
        assert OWN_ERROR.sub("", LINES.sub("", end.said)) == "", end.said
    assert statistics.median(end.took for end in ends) < SOON
    assert {end.name for end in ends if end.was_freed} >= FREED_AT_ONCE
    expired = [end for end in ends if not end.was_freed]
    slowest = max(end.freed_after for end in expired)
    assert slowest < RECLAIMED_WITHIN
    assert not dump_of(server).holders
    seen(
        f"{len(ends)} programs that end with leases held: {', '.join(names)}",
        f"ended after {statistics.median(end.took for end in ends):.2f} s in the median, "
        f"{max(end.took for end in ends):.2f} s at most, 0 tracebacks of ours; slots free "
        f"at once in {len(ends) - len(expired)}, in {len(expired)} after at most {slowest:.2f} s "
        f"(bound {RECLAIMED_WITHIN:.2f} s)",
    )
