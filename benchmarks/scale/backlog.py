"""A resource with one slot and a backlog of durable tasks, of 1,000 agents."""

from __future__ import annotations

import itertools
from typing import TypeVar

import redis

from benchmarks.scale.load import evalsha, opening
from benchmarks.scale.wire import Wires, encoded
from loco_redis._replies import RefusableReply
from loco_redis._scripts import VERBS, Command, Scripts

T = TypeVar("T")

_SESSION, _LEASE = "b" * 16, 3600 * 10**6
_AGENTS, _BODY, _CHUNK = 1000, b"p" * 64, 2000
_SEQUENCE, _AGENT = 7 * 10**11, b"agent888888"  # in the place of what changes with each call


class Backlog:
    """`tasks` durable tasks with a payload of 64 bytes wait; nobody asks for a slot but `turn`."""

    def __init__(self, client: redis.Redis, name: str, tasks: int) -> None:
        self._client, self._scripts = client, Scripts(name)
        self._sequence = itertools.count(1)
        for verb in VERBS:
            client.script_load(self._scripts.source(verb))
        self._call(opening(self._scripts, _SESSION, 1, _LEASE))
        self._fill(tasks)

    def turn(self) -> None:
        """A submit, an acquire, which serves the agent's oldest task, and a release."""
        number = next(self._sequence)
        agent = b"agent%06d" % (number % _AGENTS)
        self._call(self._submit(number, agent))
        asked, ended = next(self._sequence), next(self._sequence)
        reply = self._call(
            self._scripts.acquire(
                session=_SESSION, floor=asked, seen=0, sequence=asked, agent=agent, weight=None
            )
        )
        (grant,) = reply.grants
        self._call(
            self._scripts.release(
                session=_SESSION,
                floor=ended,
                seen=0,
                sequence=asked,
                token=grant.token,
                charge=True,
            )
        )

    def _fill(self, tasks: int) -> None:
        """By encoded commands, a chunk ahead of the answers."""
        url = "redis://{host}:{port}".format(**self._client.connection_pool.connection_kwargs)
        answered = 0
        command = encoded("EVALSHA", *evalsha(self._scripts, self._submit(_SEQUENCE, _AGENT)))
        template = command.replace(b"%d" % _SEQUENCE, b"%012d").replace(_AGENT, b"agent%06d")

        def on_lines(lines: bytes) -> None:
            nonlocal answered
            answered += lines.count(b"*")

        with Wires() as wires:
            wire = wires.open(url, on_lines)
            for sent in range(0, tasks, _CHUNK):
                numbers = itertools.islice(self._sequence, min(_CHUNK, tasks - sent))
                wire.put(template % (n, n, n % _AGENTS) for n in numbers)
                wires.drive(lambda enough=sent: answered >= enough)  # type: ignore[misc]
            wires.drive(lambda: answered >= tasks)

    def _submit(self, sequence: int, agent: bytes) -> Command[RefusableReply]:
        return self._scripts.submit(
            session=_SESSION, floor=sequence, seen=0, sequence=sequence, agent=agent, weight=1000,
            max_attempts=3, body=_BODY,
        )  # fmt: skip

    def _call(self, command: Command[T]) -> T:
        return command.decode(self._client.evalsha(*evalsha(self._scripts, command)))
