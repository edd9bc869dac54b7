"""Processes that do as they are told: the same order to several of them, then all answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Peer

ROOT = Path(__file__).parents[2]
#: A crew that is wanted: (size, place, python, arguments of each member).
Wanted = tuple[int, str, str, Mapping[str, object]]
#: Seconds until an order that is to be carried out at one moment by all begins.
NOTICE = 0.03


class Member:
    """A process of its own that carries out orders (member.py).

    Args:
        place: "module:function" that it runs.
        python: its interpreter.
        arguments: of the function.
    """

    def __init__(self, place: str, python: str, **arguments: object) -> None:
        self._place = place
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.peers.member", place, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def begin(self, **order: object) -> None:
        """Say what to do; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The next answer, the first of all saying that it is ready.

        Raises:
            EOFError: it is dead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EOFError(f"a process with {self._place} ended without an answer")
        return json.loads(line)

    def kill(self) -> None:
        """SIGKILL; harmless when it has ended."""
        self._process.kill()
        self._process.wait()

    def dismiss(self) -> None:
        """Let it end in peace, or after ten seconds otherwise."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.kill()
        self._process.stdout.close()


class Crew:
    """Members of one kind."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    def tell(self, first: int | None = None, **order: object) -> list[Any]:
        """Order the first so many members, or all, then wait for all their answers."""
        chosen = self.members[:first]
        for member in chosen:
            member.begin(**order)
        return [member.answer() for member in chosen]


def guarding(
    peer: Peer, size: int, url: str, name: str, slots: int, tasks: int, **options: object
) -> Wanted:
    """So many processes that use the peer's semaphore `name` (labour.py)."""
    arguments = {
        "way": peer.place,
        "url": url,
        "name": name,
        "slots": slots,
        "tasks": tasks,
        "options": {**peer.options, **options},
    }
    return size, "benchmarks.peers.labour:serve", peer.python, arguments


@contextmanager
def hired(wanted: Mapping[str, Wanted]) -> Iterator[dict[str, Crew]]:
    """Crews by name, whose processes start together; each member is told its number as `me`."""
    crews: dict[str, Crew] = {}
    try:
        for name, (size, place, python, arguments) in wanted.items():
            crews[name] = Crew([])
            for me in range(size):
                crews[name].members.append(Member(place, python, me=me, **arguments))
        for crew in crews.values():
            for member in crew.members:
                member.answer()
        yield crews
    finally:
        for crew in crews.values():
            for member in crew.members:
                member.dismiss()
