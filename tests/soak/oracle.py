"""The oracle: an outside process that bodies write to, fenced per slot, and that sees who overlaps.

    python -m tests.soak.oracle SOCKET SLOTS

Nothing it knows goes through Redis. Workers connect by a unix socket and send lines (`witness.py`);
when its standard input ends it prints what it has found as one line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from array import array
from dataclasses import dataclass, field
from typing import Any

from tests.soak.tasks import Tasks

_FORGET = 60 * 10**6  # tokens are about microseconds: those so much below the highest


@dataclass(slots=True)
class Body:
    """A body that began under a lease; `end` is None while it runs."""

    worker: int
    slot: int
    token: int
    task: str
    begin: float
    end: float | None = None
    after: list[Body] = field(default_factory=list)  # began on the slot while this one ran


@dataclass
class Overlap:
    """Two bodies on one slot at the same time; `stale` is the worker with the lower token."""

    slot: int
    begin: float
    seconds: float
    stale: int
    fresh: int


class Oracle:
    """What has been written, by whom, and when; pure but for the clock of `lost_sight`."""

    def __init__(self, slots: int = 1 << 30) -> None:
        self._slots = slots  # those that are always there: what others wait for is no handoff
        self.violations: list[tuple[float, str]] = []
        self.overlaps: list[Overlap] = []
        self.begins = array("d")
        self.handoffs = array("f")
        self.bodies = self.writes = self.fenced = self.stale_accepted = 0
        self.tasks = Tasks(self.violations)
        self._highest: dict[int, int] = {}
        self._accepted: dict[int, int] = {}
        self._known: dict[int, Body] = {}
        self._running: dict[int, dict[int, Body]] = {}  # slot -> token -> body
        self._last_end: dict[int, float] = {}

    def begin(self, worker: int, slot: int, token: int, task: str, at: float) -> bool:
        """A body has begun: its first write. False: refused, it was fenced."""
        if (twin := self._known.get(token)) is not None:
            where = f"slot {slot} of worker {worker}, slot {twin.slot} of worker {twin.worker}"
            self.violations.append((at, f"token {token} began two bodies: {where}"))
            return False
        body = self._known[token] = Body(worker, slot, token, task, at)
        self.bodies += 1
        self.begins.append(at)
        running = self._running.setdefault(slot, {})
        for other in running.values():
            other.after.append(body)
        if not running and slot in self._last_end and slot < self._slots:
            self.handoffs.append(max(0.0, at - self._last_end[slot]))
        running[token] = body
        if task:
            self.tasks.began(task, token, at)
        if len(self._known) > 100_000:
            self._forget(token)
        return self._write(slot, token)

    def write(self, token: int) -> bool:
        """A write of a body that began before."""
        body = self._known.get(token)
        return body is not None and self._write(body.slot, token)

    def _write(self, slot: int, token: int) -> bool:
        """What a resource has to do: remember the highest token of each slot."""
        if token < self._highest.get(slot, 0):
            self.fenced += 1
            return False
        self._highest[slot] = token
        self.writes += 1
        # The same again from what was accepted, so that the fence itself is watched.
        self.stale_accepted += token < self._accepted.get(slot, 0)
        self._accepted[slot] = max(token, self._accepted.get(slot, 0))
        return True

    def end(self, token: int, at: float) -> None:
        body = self._known.get(token)
        if body is None or body.end is not None:
            return
        body.end = at
        self._running[body.slot].pop(token, None)
        self._last_end[body.slot] = at
        # Those that began after this one ended were only told of earlier.
        for later in body.after:
            if at > later.begin:
                until = at if later.end is None else min(at, later.end)
                seconds = max(0.0, until - later.begin)
                stale, fresh = sorted((body, later), key=lambda body: body.token)
                self.overlaps.append(
                    Overlap(body.slot, later.begin, seconds, stale.worker, fresh.worker)
                )
        body.after.clear()

    def lost_sight(self, worker: int) -> None:
        """A worker's connection has ended: so have its bodies."""
        now = time.monotonic()
        mine = [b for slot in self._running.values() for b in slot.values() if b.worker == worker]
        for body in mine:
            self.end(body.token, now)

    def _forget(self, newest: int) -> None:
        old = [t for t, b in self._known.items() if b.end is not None and t < newest - _FORGET]
        for token in old:
            del self._known[token]

    def findings(self) -> dict[str, Any]:
        spans = sorted(self.handoffs)
        return {
            "event": "findings",
            "violations": self.violations,
            "overlaps": [vars(overlap) for overlap in self.overlaps],
            "bodies": self.bodies,
            "writes": self.writes,
            "fenced": self.fenced,
            "stale_accepted": self.stale_accepted,
            "running": sum(map(len, self._running.values())),
            "handoffs": {f"p{p}": percentile(spans, p) for p in (50, 99, 100)},
            "tasks": self.tasks.findings(),
            "begins": self.begins.tolist(),
        }


def percentile(ordered: list[float], percent: float) -> float:
    """Of spans in rising order; 0.0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Desk:
    """Serves the lines of workers to an oracle."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker = -1
        try:
            while line := await reader.readline():
                verb, *words = line.decode().split()
                if verb == "w":
                    worker = int(words[0])
                elif (verdict := self._take(worker, verb, words)) is not None:
                    writer.write(b"1\n" if verdict else b"0\n")
        except OSError:
            pass
        finally:
            self._oracle.lost_sight(worker)
            writer.close()
            with contextlib.suppress(OSError):  # asyncio would complain of a killed worker's
                await writer.wait_closed()

    def _take(self, worker: int, verb: str, words: list[str]) -> bool | None:
        oracle, tasks = self._oracle, self._oracle.tasks
        match verb, words:
            case "begin", (slot, token, task, at):
                task = "" if task == "-" else task
                return oracle.begin(worker, int(slot), int(token), task, float(at))
            case "write", (token,):
                return oracle.write(int(token))
            case "end", (token, at):
                oracle.end(int(token), float(at))
                tasks.body_ended(int(token))
            case "left", (token, how):
                tasks.left(int(token), how)
            case "submitting", (task, at):
                tasks.submitting(task, float(at))
            case "submitted", (task, task_id):
                tasks.submitted(task, task_id)
            case _:
                oracle.violations.append((time.monotonic(), f"an unknown line: {verb} {words}"))
        return None


async def main(path: str, slots: str) -> None:
    oracle = Oracle(int(slots))
    listening = await asyncio.start_unix_server(Desk(oracle).serve, path)
    sys.stdout.write('{"event": "up"}\n')
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    listening.close()
    sys.stdout.write(json.dumps(oracle.findings()) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
