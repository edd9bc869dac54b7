"""A resource under full load: whoever gets a slot gives it back at once and asks again.

With waiters every release grants to somebody who waits, mostly of another session, who is told by a
hint: the dearest kind of grant, and the usual one where a resource is scarce. Without waiters every
acquire finds the slot that the release before it has freed. As many pairs are under way as there
are slots.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis

from benchmarks.scale.wire import Wires, encoded
from loco_redis._scripts import VERBS, Command, Scripts
from loco_redis.snapshots import Snapshot

_LEASE = 3600 * 10**6
# In the place of numbers that change with each call; all of a kind are equally long.
_FLOOR, _SEQUENCE, _TOKEN = 6 * 10**11, 7 * 10**11, 5 * 10**15
_AGENT, _WEIGHT = b"agent888888", 9999
_GRANT = re.compile(rb"^(\d+)\|\d+\|(\d+)\|", re.MULTILINE)
_HINT = re.compile(rb":hint:(\d{16})\r\n\$\d+\r\n(\d+)\|\d+\|(\d+)\|")


class Session:
    """One of the sessions of a load, with a connection of its own.

    Attributes:
        sent, answered: commands.
        alive: requests that it has asked for and not given back.
        held: sequences and tokens of the slots that it holds and has not begun to give back.
        release_arguments: number of keys, keys and arguments, as a release of its has them.
    """

    def __init__(
        self, wires: Wires, url: str, scripts: Scripts, number: int, agents: int, together: bool
    ) -> None:
        self.id, self._scripts, self._agents = b"%016d" % number, scripts, agents
        self.sent = self.answered = self.alive = self._sequence = 0
        self.held: list[tuple[int, bytes]] = []
        self.on_grant: Callable[[Session], None] | None = None
        self._rng = random.Random(number)
        self._wire = wires.open(url, self._on_replies)
        given: dict[str, Any] = {"session": self.id.decode(), "seen": 0, "floor": _FLOOR}
        asking = scripts.acquire(**given, sequence=_SEQUENCE, agent=_AGENT, weight=_WEIGHT)
        ending = scripts.release(**given, sequence=_SEQUENCE, token=_TOKEN, charge=True)
        self._acquire, self._release = self._template(asking), self._template(ending)
        self._both = self._template(scripts.several([ending, asking])) if together else None
        self.release_arguments = evalsha(scripts, ending)[1:]
        self._beat = self._encoded(scripts.heartbeat(session=self.id.decode(), seen=0, floor=0))

    @property
    def floor(self) -> int:
        """No answer is outstanding below it."""
        return max(self._sequence - (self.sent - self.answered), 0)

    def acquire(self) -> None:
        self._sequence += 1
        self.alive += 1
        agent, weight = self._rng.randrange(self._agents), self._rng.randrange(1000, 9000)
        self._put(self._acquire % (self.floor, self._sequence, agent, weight))

    def release(self) -> None:
        """Give back one of what is held."""
        sequence, token = self.held.pop()
        self.alive -= 1
        self._put(self._release % (self.floor, sequence, token))

    def turn(self) -> None:
        """Give back one, and ask again: by one script or by two."""
        if self._both is None:
            self.release()
            self.acquire()
            return
        (sequence, token), floor = self.held.pop(), self.floor
        self._sequence += 1
        agent, weight = self._rng.randrange(self._agents), self._rng.randrange(1000, 9000)
        self._put(self._both % (floor, sequence, token, self._sequence, agent, weight), 2)

    def beat(self) -> None:
        self._put(self._beat)

    def granted(self, sequence: bytes, token: bytes) -> None:
        self.held.append((int(sequence), token))
        if self.on_grant:
            self.on_grant(self)

    def _put(self, command: bytes, steps: int = 1) -> None:
        self._wire.put((command,))
        self.sent += steps

    def _on_replies(self, lines: bytes) -> None:
        # A list for each step; those of a script that does two are in a list of two.
        self.answered += lines.count(b"*") - lines.count(b"*2\r\n")
        for found in _GRANT.finditer(lines):
            self.granted(found[1], found[2])

    def _template(self, command: Command[Any]) -> bytes:
        text = self._encoded(command)
        for number in (_FLOOR, _SEQUENCE):
            text = text.replace(b"%d" % number, b"%012d")
        text = text.replace(b"%d" % _TOKEN, b"%b").replace(_AGENT, b"agent%06d")
        return text.replace(b"$4\r\n%d" % _WEIGHT, b"$4\r\n%d")

    def _encoded(self, command: Command[Any]) -> bytes:
        return encoded("EVALSHA", *evalsha(self._scripts, command))


class Load:
    """The resource `name`. `run` it at full load, or one kind of command at a time."""

    def __init__(
        self,
        wires: Wires,
        url: str,
        name: str = "load",
        *,
        sessions: int = 8,
        agents: int = 100,
        waiting: int = 1000,
        slots: int = 64,
        together: bool = False,
    ) -> None:
        """`together`: a release and the acquire after it share a script, as of a busy process."""
        self._wires, self.slots = wires, slots
        self._scripts = scripts = Scripts(name)
        self.sessions = [Session(wires, url, scripts, n, agents, together) for n in range(sessions)]
        self._by_id = {session.id: session for session in self.sessions}
        self._tail = b""  # of the hints: a part of one
        with redis.Redis.from_url(url) as client:
            for verb in VERBS:
                client.script_load(scripts.source(verb))
            for session in self.sessions:
                command = opening(scripts, session.id.decode(), slots, _LEASE)
                client.evalsha(*evalsha(scripts, command))
        hints = wires.open(url, self._on_hints)
        hints.put([encoded("SUBSCRIBE", *(scripts.keys.channel + s.id for s in self.sessions))])
        self.acquire(slots + waiting)

    @property
    def pairs(self) -> int:
        """Commands answered, by two."""
        return sum(session.answered for session in self.sessions) // 2

    @property
    def is_quiet(self) -> bool:
        """Everything is answered, and every slot granted to somebody who asked, if enough did."""
        held = sum(len(session.held) for session in self.sessions)
        alive = sum(session.alive for session in self.sessions)
        return held == min(self.slots, alive) and all(s.answered == s.sent for s in self.sessions)

    def acquire(self, count: int) -> None:
        """So many more ask; without a free slot they wait."""
        self._settled(lambda n: self.sessions[n % len(self.sessions)].acquire(), count)

    def release(self) -> None:
        """Every slot is given back, and granted on if anybody waits."""
        holders = [session for session in self.sessions for _ in session.held]
        self._settled(lambda n: holders[n].release(), len(holders))

    def beat(self, count: int) -> None:
        """So many heartbeats."""
        self._settled(lambda n: self.sessions[n % len(self.sessions)].beat(), count)

    def snapshot(self, client: redis.Redis) -> Snapshot:
        """The numbers that its server has."""
        command = self._scripts.snapshot(limit=0)
        snapshot = command.decode(client.evalsha(*evalsha(self._scripts, command))).snapshot
        assert snapshot is not None
        return snapshot

    def start(self) -> None:
        for session in self.sessions:
            session.on_grant = Session.turn
            while session.held:
                session.turn()

    def stop(self) -> None:
        for session in self.sessions:
            session.on_grant = None

    def _settled(self, do: Callable[[int], None], count: int) -> None:
        for number in range(count):
            do(number)
        self._wires.drive(lambda: self.is_quiet)

    def _on_hints(self, lines: bytes) -> None:
        lines, end = self._tail + lines, 0
        for found in _HINT.finditer(lines):
            self._by_id[found[1]].granted(found[2], found[3])
            end = found.end()
        self._tail = lines[end:]


def run_for(
    wires: Wires, seconds: float, loads: Sequence[Load], each: Callable[[], None] | None = None
) -> None:
    """Full load for so long, then until all is quiet."""
    end = time.perf_counter() + seconds
    for load in loads:
        load.start()
    wires.drive(lambda: time.perf_counter() >= end, each)
    for load in loads:
        load.stop()
    wires.drive(lambda: all(load.is_quiet for load in loads))


def opening(scripts: Scripts, session: str, slots: int | None, lease: int | None) -> Command[Any]:
    """The first call of a session; lease in microseconds; None adopts what is stored."""
    return scripts.open(
        session=session,
        seen=0,
        info="benchmark|1",
        capacity=slots,
        alpha=None,
        lease=lease,
        max_waiters=None,
    )


def evalsha(scripts: Scripts, command: Command[Any]) -> tuple[Any, ...]:
    """What follows EVALSHA."""
    keys = scripts.keys.all
    return scripts.sha(command.script), len(keys), *keys, *command.args
