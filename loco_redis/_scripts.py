"""The Lua scripts: their text, and one typed method for each.

A method returns a `Command`; sending it is the business of the outbox and of the heartbeat thread.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any, Generic, TypeVar

from loco_redis import _replies as replies
from loco_redis._keys import SUFFIXES, Keys
from loco_redis._library import Library, Way

SCHEMA = 1
VERBS = (
    "open",
    "heartbeat",
    "submit",
    "acquire",
    "serve",
    "release",
    "complete",
    "result",
    "several",
    "cancel",
    "settle",
    "cancel_task",
    "register",
    "unregister",
    "reconfigure",
    "close",
    "reap",
    "poll",
    "agent",
    "snapshot",
    "throttle",
    "govern",
    "spend",
    "judge",
    "tally",
    "check",
    "standing",
    "evict",
    "requeue",
    "rights",
    "dump",
)

T = TypeVar("T")
Argument = bytes | str | int


def load(script: str, substitutes: Mapping[str, str] | None = None) -> str:
    """The text of a script with its ``--@include`` lines replaced by the files.

    Each file comes once, except inside a function: what is included there is seen only there.
    ``K.<name>`` becomes ``KEYS[<number>]``, in the order of ``_keys.py``.
    """
    folder = resources.files("loco_redis") / "lua"

    def expand(text: str, included: set[str]) -> list[str]:
        lines: list[str] = []
        for line in text.splitlines():
            indent, include, name = line.partition("--@include ")
            if not include or indent.strip():
                lines.append(line)
            elif name not in included:
                inner = set(included) if indent else included
                inner.add(name)
                given = (substitutes or {}).get(name)
                part = given or (folder / "include" / f"{name}.lua").read_text("utf-8")
                lines += expand(part, inner)
        return lines

    lines = expand((folder / f"{script}.lua").read_text("utf-8"), set())
    return re.sub(r"\bK\.(\w+)", _key, "\n".join(lines)) + "\n"


def _key(name: re.Match[str]) -> str:
    return f"KEYS[{SUFFIXES.index(name[1]) + 1}]"


@cache
def _loaded(script: str) -> tuple[str, str]:
    text = load(script)
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@cache
def library() -> Library:
    """All scripts as functions, also those of what is built on top: who loads it loads one."""
    from loco_redis.orchestration._scripts import sources

    return Library.of({verb: load(verb) for verb in VERBS} | sources())


def rid(session: str, sequence: int) -> str:
    """The id of a request; its text sorts by sequence."""
    return f"{session}:{sequence:012d}"


def _optional(value: object | None) -> str:
    return "" if value is None else str(value)


def _alpha(value: float | None) -> str:
    return "" if value is None else format(value, ".17g")


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """One call of a script: ``args`` is its ARGV, ``decode`` turns the raw reply into a value."""

    script: str
    args: tuple[Argument, ...]
    decode: Callable[[list[Any]], T]


class Scripts:
    """The scripts of the scheduler ``name``. Arguments are in the units of ``lua/README.md``."""

    def __init__(self, name: str, way: Way = "eval") -> None:
        self.keys = Keys(name)
        self.way = way
        self._snapshot = partial(replies.snapshot, name)

    def source(self, script: str) -> str:
        return _loaded(script)[0]

    def sha(self, script: str) -> str:
        return _loaded(script)[1]

    def call(self, script: str) -> tuple[str, str]:
        """The Redis command that runs a script, and its first argument; keys and ARGV follow."""
        if self.way == "functions":
            return library().call(script)
        return "EVALSHA", self.sha(script)

    def _command(
        self, script: str, decode: Callable[[list[Any]], T], session: str, *args: Argument
    ) -> Command[T]:
        return Command(script, (self.keys.channel, session, *args), decode)

    def open(
        self,
        *,
        session: str,
        seen: int,
        info: str,
        capacity: int | None,
        alpha: float | None,
        lease: int | None,
        max_waiters: int | None,
        rpm: int | None = None,
        rpm_burst: int | None = None,
        tpm: int | None = None,
        tpm_burst: int | None = None,
        adaptive: int | None = None,
        auto_tune: int | None = None,
        events: int | None = None,
        paused: int | None = None,
    ) -> Command[replies.OpenReply]:
        return self._command(
            "open",
            replies.opened,
            session,
            seen,
            info,
            SCHEMA,
            _optional(capacity),
            _alpha(alpha),
            _optional(lease),
            _optional(max_waiters),
            _optional(rpm),
            _optional(rpm_burst),
            _optional(tpm),
            _optional(tpm_burst),
            _optional(adaptive),
            _optional(auto_tune),
            _optional(events),
            _optional(paused),
        )

    def heartbeat(self, *, session: str, floor: int, seen: int) -> Command[replies.HeartbeatReply]:
        return self._command("heartbeat", replies.heartbeat, session, floor, seen)

    def submit(
        self,
        *,
        session: str,
        floor: int,
        seen: int,
        sequence: int,
        agent: bytes,
        weight: int,
        max_attempts: int,
        body: bytes,
        given: bytes = b"",
        order: bytes = b"",
    ) -> Command[replies.SubmitReply]:
        request = rid(session, sequence)
        args = (floor, seen, request, agent, weight, max_attempts, body, given, order)
        return self._command("submit", replies.submitted, session, *args)

    def acquire(
        self,
        *,
        session: str,
        floor: int,
        seen: int,
        sequence: int,
        agent: bytes,
        weight: int | None,
        given: bytes = b"",
    ) -> Command[replies.AcquireReply]:
        request = rid(session, sequence)
        args = (floor, seen, request, agent, "" if weight is None else weight, given)
        return self._command("acquire", replies.acquired, session, *args)

    def release(
        self,
        *,
        session: str,
        floor: int,
        seen: int,
        sequence: int,
        token: int,
        charge: bool,
        cell: str = "0000",
        labels: bytes = b"",
    ) -> Command[replies.ReleaseReply]:
        args = (floor, seen, rid(session, sequence), token, int(charge), cell, labels)
        return self._command("release", replies.released, session, *args)

    def serve(
        self, *, session: str, floor: int, seen: int, sequence: int
    ) -> Command[replies.AcquireReply]:
        args = (floor, seen, rid(session, sequence))
        return self._command("serve", replies.acquired, session, *args)

    def complete(
        self,
        *,
        session: str,
        floor: int,
        seen: int,
        sequence: int,
        token: int,
        charge: bool,
        cell: str = "0000",
        labels: bytes = b"",
        outcome: str,
        value: bytes = b"",
        delay: int = 0,
    ) -> Command[replies.CompleteReply]:
        request = rid(session, sequence)
        args = (floor, seen, request, token, int(charge), cell, labels, outcome, value, delay)
        return self._command("complete", replies.completed, session, *args)

    def result(
        self, *, session: str, floor: int, seen: int, task_id: str
    ) -> Command[replies.ResultReply]:
        return self._command("result", replies.result, session, floor, seen, task_id)

    def several(self, steps: Sequence[Command[Any]]) -> Command[list[Any]]:
        """Acquires and releases of one session; a list of their replies."""
        session = str(steps[0].args[1])
        floor = min(int(step.args[2]) for step in steps)
        seen = max(int(step.args[3]) for step in steps)
        args = [part for step in steps for part in (step.script, *step.args[4:])]

        def decode(values: list[Any]) -> list[Any]:
            return [step.decode(value) for step, value in zip(steps, values, strict=True)]

        return self._command("several", decode, session, floor, seen, *args)

    def cancel(
        self, *, session: str, floor: int, seen: int, sequence: int, is_late: bool = False
    ) -> Command[replies.GrantsReply]:
        args = (floor, seen, rid(session, sequence), int(is_late))
        return self._command("cancel", replies.with_grants, session, *args)

    def settle(
        self,
        *,
        session: str,
        sequence: int,
        token: int,
        cost: int,
        tokens: int | None = None,
        labels: bytes = b"",
    ) -> Command[replies.SettleReply]:
        args = (rid(session, sequence), token, cost, _optional(tokens), labels)
        return self._command("settle", replies.settled, session, *args)

    def cancel_task(
        self, *, session: str, floor: int, seen: int, sequence: int, task_id: str
    ) -> Command[replies.GrantsReply]:
        args = (floor, seen, rid(session, sequence), task_id)
        return self._command("cancel_task", replies.with_grants, session, *args)

    def register(
        self,
        *,
        session: str,
        floor: int,
        seen: int,
        sequence: int,
        agent: bytes,
        agent_type: str,
    ) -> Command[replies.RefusableReply]:
        args = (floor, seen, rid(session, sequence), agent, agent_type)
        return self._command("register", replies.refusable, session, *args)

    def unregister(
        self, *, session: str, floor: int, seen: int, sequence: int, agent: bytes
    ) -> Command[replies.Reply]:
        args = (floor, seen, rid(session, sequence), agent)
        return self._command("unregister", replies.reply, session, *args)

    def reconfigure(
        self,
        *,
        session: str,
        floor: int,
        seen: int,
        sequence: int,
        if_version: int,
        capacity: int | None,
        alpha: float | None,
        max_waiters: int | None,
        rpm: int | None = None,
        rpm_burst: int | None = None,
        tpm: int | None = None,
        tpm_burst: int | None = None,
        adaptive: int | None = None,
        auto_tune: int | None = None,
        events: int | None = None,
        paused: int | None = None,
    ) -> Command[replies.ReconfigureReply]:
        return self._command(
            "reconfigure",
            replies.reconfigured,
            session,
            floor,
            seen,
            rid(session, sequence),
            if_version,
            _optional(capacity),
            _alpha(alpha),
            _optional(max_waiters),
            _optional(rpm),
            _optional(rpm_burst),
            _optional(tpm),
            _optional(tpm_burst),
            _optional(adaptive),
            _optional(auto_tune),
            _optional(events),
            _optional(paused),
        )

    def close(self, *, session: str, seen: int) -> Command[replies.CloseReply]:
        return self._command("close", replies.closed, session, seen)

    def reap(self, *, session: str = "") -> Command[replies.ReapReply]:
        return self._command("reap", replies.reaped, session)

    def poll(self, *, session: str, after: str) -> Command[replies.PollReply]:
        return self._command("poll", replies.polled, session, after)

    def agent(self, *, agent: bytes) -> Command[replies.AgentReply]:
        return self._command("agent", replies.agent, "", agent)

    def snapshot(self, *, limit: int) -> Command[replies.SnapshotReply]:
        return self._command("snapshot", self._snapshot, "", limit)

    def throttle(
        self, *, session: str, floor: int, seen: int, sequence: int, token: int, pause: int
    ) -> Command[replies.ThrottleReply]:
        args = (floor, seen, rid(session, sequence), token, pause)
        return self._command("throttle", replies.throttled, session, *args)

    def govern(
        self, *, session: str, floor: int, seen: int, sequence: int, changes: bytes
    ) -> Command[replies.GrantsReply]:
        args = (floor, seen, rid(session, sequence), changes)
        return self._command("govern", replies.with_grants, session, *args)

    def spend(
        self,
        *,
        session: str,
        floor: int,
        seen: int,
        sequence: int,
        scope: bytes,
        cost: int | None,
    ) -> Command[replies.Reply]:
        args = (floor, seen, rid(session, sequence), scope, _optional(cost))
        return self._command("spend", replies.reply, session, *args)

    def judge(
        self,
        *,
        session: str,
        floor: int,
        seen: int,
        sequence: int,
        agent: bytes,
        signal: str,
        waited: int,
    ) -> Command[replies.Reply]:
        args = (floor, seen, rid(session, sequence), agent, signal, waited)
        return self._command("judge", replies.reply, session, *args)

    def tally(
        self, *, session: str, floor: int, seen: int, sequence: int, entries: bytes
    ) -> Command[replies.Reply]:
        args = (floor, seen, rid(session, sequence), entries)
        return self._command("tally", replies.reply, session, *args)

    def check(self, *, agent: bytes, weight: int, given: bytes) -> Command[replies.RefusableReply]:
        return self._command("check", replies.refusable, "", agent, weight, given)

    def standing(self, *, scopes: bytes) -> Command[replies.StandingReply]:
        return self._command("standing", replies.standing, "", scopes)

    def evict(
        self, *, session: str, floor: int, seen: int, sequence: int, target: str
    ) -> Command[replies.GrantsReply]:
        args = (floor, seen, rid(session, sequence), target)
        return self._command("evict", replies.with_grants, session, *args)

    def requeue(
        self, *, session: str, floor: int, seen: int, sequence: int, task_id: str
    ) -> Command[replies.GrantsReply]:
        args = (floor, seen, rid(session, sequence), task_id)
        return self._command("requeue", replies.with_grants, session, *args)

    def rights(self, *, commands: str) -> Command[tuple[str, ...]]:
        return self._command("rights", replies.denied, "", commands)

    def dump(self) -> Command[list[Any]]:
        return self._command("dump", list, "")
