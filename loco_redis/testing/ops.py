"""The calls of the contract as frozen values: one class a script, one field an argument.

Fields are named as the keyword arguments of `loco_redis._scripts.Scripts`, so an operation can be
given to the model (`step(state, op, now)`) and to a server (`getattr(scripts, op.verb)(...)`).
Weights and costs are thousandths, leases and clocks microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Op:
    """Base of all operations; `verb` is the name of the script."""

    verb: ClassVar[str] = ""

    def arguments(self) -> dict[str, Any]:
        """The fields as keyword arguments of the typed method of the same name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Call(Op):
    """What every call of a live session carries."""

    session: str
    floor: int
    seen: int


@dataclass(frozen=True, slots=True)
class Request(Call):
    """A call with an id of its own: `session:sequence`."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Open(Op):
    verb = "open"
    session: str
    seen: int
    info: str = ""
    capacity: int | None = None
    alpha: float | None = None
    lease: int | None = None
    max_waiters: int | None = None
    rpm: int | None = None
    rpm_burst: int | None = None
    tpm: int | None = None
    tpm_burst: int | None = None
    adaptive: int | None = None
    auto_tune: int | None = None
    events: int | None = None
    paused: int | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat(Call):
    verb = "heartbeat"


@dataclass(frozen=True, slots=True)
class Submit(Request):
    verb = "submit"
    agent: bytes
    weight: int
    max_attempts: int = 0
    body: bytes = b""
    given: bytes = b""
    order: bytes = b""


@dataclass(frozen=True, slots=True)
class Acquire(Request):
    verb = "acquire"
    agent: bytes
    weight: int | None = None
    given: bytes = b""


@dataclass(frozen=True, slots=True)
class Release(Request):
    verb = "release"
    token: int
    charge: bool = True
    cell: str = "0000"
    labels: bytes = b""


@dataclass(frozen=True, slots=True)
class Serve(Request):
    """For a slot and a durable task of whichever agent comes first."""

    verb = "serve"


@dataclass(frozen=True, slots=True)
class Complete(Release):
    """`outcome` c (done), f (failed) or p (put off); `delay` in microseconds."""

    verb = "complete"
    outcome: str = "c"
    value: bytes = b""
    delay: int = 0


@dataclass(frozen=True, slots=True)
class Result(Call):
    verb = "result"
    task_id: str


@dataclass(frozen=True, slots=True)
class Several(Op):
    """Acquires and releases of one session, in one script."""

    verb = "several"
    steps: tuple[Acquire | Release, ...]

    @property
    def session(self) -> str:
        return self.steps[0].session

    @property
    def floor(self) -> int:
        return min(step.floor for step in self.steps)

    @property
    def seen(self) -> int:
        return max(step.seen for step in self.steps)


@dataclass(frozen=True, slots=True)
class Cancel(Request):
    verb = "cancel"
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Settle(Op):
    verb = "settle"
    session: str
    sequence: int
    token: int
    cost: int
    tokens: int | None = None
    labels: bytes = b""


@dataclass(frozen=True, slots=True)
class CancelTask(Request):
    verb = "cancel_task"
    task_id: str


@dataclass(frozen=True, slots=True)
class Evict(Request):
    """`target` is the id of a request of any session."""

    verb = "evict"
    target: str


@dataclass(frozen=True, slots=True)
class Requeue(Request):
    """`task_id` is that of a dead task."""

    verb = "requeue"
    task_id: str


@dataclass(frozen=True, slots=True)
class Register(Request):
    verb = "register"
    agent: bytes
    agent_type: str = ""


@dataclass(frozen=True, slots=True)
class Unregister(Request):
    verb = "unregister"
    agent: bytes


@dataclass(frozen=True, slots=True)
class Reconfigure(Request):
    verb = "reconfigure"
    if_version: int = 0
    capacity: int | None = None
    alpha: float | None = None
    max_waiters: int | None = None
    rpm: int | None = None
    rpm_burst: int | None = None
    tpm: int | None = None
    tpm_burst: int | None = None
    adaptive: int | None = None
    auto_tune: int | None = None
    events: int | None = None
    paused: int | None = None


@dataclass(frozen=True, slots=True)
class Close(Op):
    verb = "close"
    session: str
    seen: int


@dataclass(frozen=True, slots=True)
class Reap(Op):
    verb = "reap"
    session: str = ""


@dataclass(frozen=True, slots=True)
class Throttle(Request):
    verb = "throttle"
    token: int
    pause: int


@dataclass(frozen=True, slots=True)
class Govern(Request):
    """`changes` are pairs of a field of `rules` and its value, packed by `packed`."""

    verb = "govern"
    changes: bytes


@dataclass(frozen=True, slots=True)
class Spend(Request):
    verb = "spend"
    scope: bytes
    cost: int | None = None


@dataclass(frozen=True, slots=True)
class Judge(Request):
    verb = "judge"
    agent: bytes
    signal: str
    waited: int = 0


@dataclass(frozen=True, slots=True)
class Tally(Request):
    verb = "tally"
    entries: bytes


@dataclass(frozen=True, slots=True)
class Check(Op):
    verb = "check"
    agent: bytes
    weight: int
    given: bytes = b""


@dataclass(frozen=True, slots=True)
class Standing(Op):
    verb = "standing"
    scopes: bytes = b""


@dataclass(frozen=True, slots=True)
class Poll(Op):
    verb = "poll"
    session: str
    after: str = ""


@dataclass(frozen=True, slots=True)
class Agent(Op):
    verb = "agent"
    agent: bytes


@dataclass(frozen=True, slots=True)
class Snapshot(Op):
    verb = "snapshot"
    limit: int


def packed(changes: dict[bytes, bytes]) -> bytes:
    """The `changes` of `govern`."""
    return b"".join(b"%d|%b|%d|%b" % (len(k), k, len(v), v) for k, v in changes.items())


def scopes(*names: bytes) -> bytes:
    """The `scopes` of `standing`."""
    return b"".join(b"%d|%b" % (len(name), name) for name in names)
