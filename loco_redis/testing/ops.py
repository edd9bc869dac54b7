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


@dataclass(frozen=True, slots=True)
class Acquire(Request):
    verb = "acquire"
    agent: bytes
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Release(Request):
    verb = "release"
    token: int
    charge: bool = True


@dataclass(frozen=True, slots=True)
class Cancel(Request):
    verb = "cancel"


@dataclass(frozen=True, slots=True)
class Settle(Op):
    verb = "settle"
    session: str
    sequence: int
    token: int
    cost: int


@dataclass(frozen=True, slots=True)
class CancelTask(Request):
    verb = "cancel_task"
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


@dataclass(frozen=True, slots=True)
class Close(Op):
    verb = "close"
    session: str
    seen: int


@dataclass(frozen=True, slots=True)
class Reap(Op):
    verb = "reap"


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
