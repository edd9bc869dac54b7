"""The reference model and the scripts side by side on a real server, with an injected clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import redis
from redis.exceptions import NoScriptError

from loco_redis._limits import LIMITS, Limits
from loco_redis._replies import Grant, SnapshotReply, StandingReply
from loco_redis._scripts import Command, Scripts, load
from loco_redis.testing import invariants, ops
from loco_redis.testing.dump import Dump, differences, parse
from loco_redis.testing.model import Outcome, step
from loco_redis.testing.model_dump import dump
from loco_redis.testing.model_state import State
from loco_redis.testing.model_turn import GONE, Hint

Call = tuple[bytes | str | int, ...]

CLOCK = "test:clock"
NOW = f"local NOW = tonumber(redis.call('GET', '{CLOCK}'))"


@cache
def build(script: str, limits: Limits = LIMITS) -> tuple[str, str]:
    """The test build of a script, whose clock is the key `CLOCK`, and its SHA."""
    text = load(script, substitutes={"now": NOW, "limits": limits.lua})
    return text, hashlib.sha1(text.encode()).hexdigest()


class Bench:
    """The scripts of one scheduler on a server, run one at a time at a given time."""

    limits = LIMITS

    def __init__(self, client: redis.Redis, name: str = "lockstep") -> None:
        self.client = client
        self.scripts = Scripts(name)

    def set_clock(self, now: int) -> None:
        self.client.set(CLOCK, now)

    def call(self, command: Command[Any], is_known: bool = True) -> Call:
        """The Redis command that runs a script, which the server is to know."""
        text, sha = build(command.script, self.limits)
        keys = self.scripts.keys.all
        script = ("EVALSHA", sha) if is_known else ("EVAL", text)
        return (*script, len(keys), *keys, *command.args)

    def send(self, command: Command[Any]) -> Any:
        """The decoded reply; a flushed script is loaded again."""
        try:
            raw = self.client.execute_command(*self.call(command))
        except NoScriptError:
            raw = self.client.execute_command(*self.call(command, is_known=False))
        return command.decode(raw)

    def send_together(self, now: int, *commands: Command[Any]) -> list[Any]:
        """The decoded replies, in one round trip with the clock. If a script was flushed, it and
        those after it are sent again: at most the first may write."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.set(CLOCK, now)
            for command in commands:
                pipe.execute_command(*self.call(command))
            _, *answers = pipe.execute(raise_on_error=False)
        replies: list[Any] = []
        is_late = False
        for command, answer in zip(commands, answers, strict=True):
            is_late = is_late or isinstance(answer, NoScriptError)
            if isinstance(answer, Exception) and not is_late:
                raise answer
            replies.append(self.send(command) if is_late else command.decode(answer))
        return replies

    def command(self, op: ops.Op) -> Command[Any]:
        if isinstance(op, ops.Several):
            return self.scripts.several([self.command(step) for step in op.steps])
        command: Command[Any] = getattr(self.scripts, op.verb)(**op.arguments())
        return command

    def run(self, op: ops.Op) -> Any:
        return self.send(self.command(op))

    def dump(self) -> Dump:
        return parse(self.send(self.scripts.dump()))


class Hints:
    """What is published to the sessions of a scheduler, read without guessing how long to wait."""

    def __init__(self, client: redis.Redis, scripts: Scripts, clock: Callable[[], int]) -> None:
        """`clock` tells the lease clock, on which a wake is counted."""
        self.clock = clock
        self._prefix = scripts.keys.channel
        self._pubsub = client.pubsub()
        self._pubsub.psubscribe(self._prefix + b"*")
        self.take()

    def take(self) -> list[Hint]:
        """All hints since the last call: a PING comes back after everything published before it."""
        self._pubsub.ping()
        hints: list[Hint] = []
        while (message := self._pubsub.get_message(timeout=5.0)) is not None:
            if message["type"] == "pong":
                return hints
            if message["type"] == "pmessage":
                session = message["channel"].removeprefix(self._prefix).decode()
                data = message["data"]
                if data.startswith(b"wake|"):
                    hints.append((session, self.clock() + int(data[5:])))
                elif data == GONE.encode() or data.startswith(b"done|"):
                    hints.append((session, data.decode()))
                else:
                    hints.append((session, Grant.parse(data)))
        raise AssertionError("no answer to a PING")

    def close(self) -> None:
        self._pubsub.close()


class Lockstep(Bench):
    """Runs each operation on both sides and compares replies, hints and, unless it is to be quick,
    the whole state."""

    is_quick = False

    def __init__(
        self, client: redis.Redis, now: int = 1_000_000_000_000_000, limits: Limits = LIMITS
    ) -> None:
        super().__init__(client)
        self.limits = limits
        self.state = State(limits=limits)
        self.now = now
        self.hints = Hints(client, self.scripts, lambda: self.state.vnow)
        self.before = dump(self.state)

    def do(self, op: ops.Op) -> Any:
        """The reply, which both sides gave."""
        expected = step(self.state, op, self.now, self.scripts.keys.name)
        looks = () if self.is_quick else (self.scripts.dump(),)
        reply, *looked = self.send_together(self.now, self.command(op), *looks)
        actual = Outcome(reply, tuple(self.hints.take()))
        ours, theirs = comparable(actual.reply), comparable(expected.reply)
        assert ours == theirs, f"{op}: the script said\n{ours}, the model\n{theirs}"
        assert actual.hints == expected.hints, f"{op}: hints {actual.hints} != {expected.hints}"
        if looked:
            self.compare(parse(*looked))
        return actual.reply

    def compare(self, after: Dump | None = None) -> None:
        """Both sides hold the same, and it keeps the invariants."""
        after = after or self.dump()
        assert not (found := differences(after, dump(self.state))), "\n".join(found)
        logged, kept = len(after.events), self.state.kept
        assert logged >= kept, f"{logged} events are left, {kept} were to be kept"
        invariants.check(after)
        invariants.check_progress(self.before, after)
        self.before = after

    def flush_all(self) -> None:
        """The server is emptied; so is the model."""
        self.client.flushall()
        self.state = State(limits=self.limits)
        self.compare()

    def close(self) -> None:
        self.hints.close()


def comparable(reply: Any) -> Any:
    """A snapshot lists agents and sessions in no promised order, standings come as stored."""
    if isinstance(reply, StandingReply):
        rows = sorted(reply.standings, key=lambda row: row.scope)
        return replace(reply, standings=tuple(rows))
    if not isinstance(reply, SnapshotReply) or reply.snapshot is None:
        return reply
    snapshot = reply.snapshot
    agents = sorted(snapshot.agents, key=lambda row: row.agent_id)
    sessions = sorted(snapshot.sessions, key=lambda row: row.session)
    ordered = replace(snapshot, agents=tuple(agents), sessions=tuple(sessions))
    return replace(reply, snapshot=ordered)
