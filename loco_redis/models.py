"""The values that users give: agents, tasks, the resource. All frozen.

Weights and costs are plain numbers (a cost proxy, 1 and up), times are seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

from loco_redis import _validate as validate
from loco_redis.backoff import Backoff

_BODY_VERSION = b"1"
_MAX_META_BYTES = 64 << 10
_DEFAULT_ATTEMPTS, _MAX_ATTEMPTS = 3, 1_000_000


@dataclass(frozen=True, slots=True)
class Agent:
    """A named competitor. `agent_type` is a label such as "webhook" or "batch"; `max_concurrency`
    is the most slots it may hold at once, None leaving that as it is.

    Raises:
        ValueError: an empty id, one of more than 512 UTF-8 bytes, or with a NUL.
    """

    agent_id: str
    agent_type: str = ""
    max_concurrency: int | None = None

    def __post_init__(self) -> None:
        validate.agent_id(self.agent_id)
        _word("agent_type", self.agent_type)
        validate.whole("max_concurrency", self.max_concurrency, 0)


@dataclass(frozen=True, slots=True)
class SharedResource:
    """What is shared: at most `capacity` holders at once, over all processes that use `name`.

    `capacity=None` adopts what Redis has stored; 0 pauses: nothing is granted.

    Attributes:
        rpm, tpm: grants and tokens that the resource takes a minute; 0 = no limit, None adopts. A
            grant waits until there is a slot and both allow it.
        rpm_burst, tpm_burst: how much of it may come at once; by default a second's requests and
            six seconds' tokens.
        group: resources of one group live in one slot of a cluster, so that several of them can
            be acquired at once (`ResourcePool`). `SharedResource("g/gpu")` says it in one word.

    Raises:
        ValueError: a name or group outside [A-Za-z0-9_-]{1,64}, a negative number.
    """

    name: str
    capacity: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    rpm_burst: int | None = None
    tpm_burst: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        group, slash, name = validate.resource_name(self.name).partition("/")
        if slash:
            if self.group not in (None, group):
                raise ValueError(
                    f"two groups, {group!r} and {validate.shown(self.group)}: give one"
                )
            object.__setattr__(self, "name", name)
            object.__setattr__(self, "group", group)
        if self.group is not None:
            validate.group_name(self.group)
        capacity = self.capacity
        if capacity is not None and (
            isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 0
        ):
            raise ValueError(
                "capacity must be an int from 0 (paused), or None to adopt, "
                f"got {validate.shown(capacity)}"
            )
        for name, share in (("rpm", 60), ("tpm", 10)):
            rate, burst = getattr(self, name), getattr(self, f"{name}_burst")
            validate.whole(name, rate, 0)
            validate.whole(f"{name}_burst", burst, 1)
            if burst is not None and not rate:
                raise ValueError(f"{name}_burst={burst} without {name}: give the rate, too")
            if rate and burst is None:
                object.__setattr__(self, f"{name}_burst", max(1, rate // share))

    @property
    def full_name(self) -> str:
        """`group/name`, or the name where there is no group: what is shown, and asked for."""
        return self.name if self.group is None else f"{self.group}/{self.name}"


@dataclass(frozen=True, slots=True)
class Task:
    """A unit of work of one agent.

    Attributes:
        weight: its cost proxy, 1 to 1e9; an agent with more weight queued ranks higher.
        cost: what it is expected to cost, reserved from budgets; None: its weight.
        tokens: LLM tokens it is expected to need, counted against the resource's `tpm`.
        task_type: a label, e.g. "anthropic:sonnet".
        payload: up to 1 MiB for whoever serves a durable task; never logged.
        max_attempts: a durable task is listed as dead after so many starts; 0 = no limit.
        backoff: how long a durable task that failed waits for its next attempt; None: from 1 s to
            300 s, doubling, with full jitter.
        labels: security labels of its data, such as {"input": SecurityLabel.INTERNAL}.
        session_id, team, workflow, model: whom its cost is attributed to.
        task_id, attempt: of a durable task, filled in by the scheduler; attempts count from 1.

    Raises:
        ValueError: any of them out of range.
    """

    weight: float = 1.0
    task_type: str = ""
    payload: bytes | None = None
    max_attempts: int = _DEFAULT_ATTEMPTS
    labels: Mapping[str, str] | None = None
    session_id: str | None = None
    team: str | None = None
    workflow: str | None = None
    model: str | None = None
    task_id: str | None = None
    attempt: int = 0
    cost: float | None = None
    tokens: int | None = None
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        validate.weight(self.weight)
        if self.cost is not None:
            validate.cost(self.cost)
        validate.whole("tokens", self.tokens, 0)
        if self.backoff is not None and not isinstance(self.backoff, Backoff):
            raise ValueError(
                "backoff must be a Backoff, such as Backoff(base=1.0, cap=300.0), "
                f"got {validate.shown(self.backoff)}"
            )
        object.__setattr__(self, "payload", validate.payload(self.payload))
        attempts = self.max_attempts
        if not (type(attempts) is int and 0 <= attempts <= _MAX_ATTEMPTS):
            raise ValueError(
                f"max_attempts must be an int from 0 (no limit) to {_MAX_ATTEMPTS}, "
                f"got {validate.shown(attempts)}"
            )
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None:
                _word(name, value)
        if self.labels is not None:
            for key, label in self.labels.items():
                _text("a label's name", key)
                _word("a label", label)

    def __repr__(self) -> str:
        shown = [
            f"{f.name}=<{len(value)} bytes>" if f.name == "payload" else f"{f.name}={value!r}"
            for f in fields(self)
            if (value := getattr(self, f.name)) != f.default
        ]
        return f"Task({', '.join(shown)})"


_TEXTS = ("task_type", "session_id", "team", "workflow", "model")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a str, got {validate.shown(value)}")


def _word(name: str, value: object) -> None:
    """Texts that figures are kept by."""
    _text(name, value)
    encoded = validate.utf8(value)
    if encoded is None or len(encoded) > 512 or {0, 0x1F} & {*encoded}:
        raise ValueError(
            f"{name} must have at most 512 UTF-8 bytes and no NUL or unit separator, "
            f"got {validate.shown(value)}"
        )


def given(task: Task | None) -> bytes:
    """`cost:tokens:labels` for the scripts; empty where the task says none of them."""
    if task is None or (task.cost is None and task.tokens is None and not task.labels):
        return b""
    cost = b"" if task.cost is None else b"%d" % validate.cost(task.cost)
    tokens = b"" if task.tokens is None else b"%d" % task.tokens
    labels = sorted(
        {
            str(label.value if isinstance(label, Enum) else label)
            for label in (task.labels or {}).values()
        }
    )
    return b"%b:%b:%b" % (cost, tokens, "\x1f".join(labels).encode())


def attribution(task: Task | None) -> bytes:
    """Whom the task's cost is for: `session, team, workflow, model` for the scripts, or nothing."""
    if task is None or not (task.session_id or task.team or task.workflow or task.model):
        return b""
    names = (task.session_id, task.team, task.workflow, task.model)
    return "\x1f".join(name or "" for name in names).encode()


def encode_body(task: Task) -> bytes:
    """What Redis keeps of a task besides its weight: opaque to it, empty for defaults.

    `1`, a JSON object, a newline, the payload. Raises ValueError when the texts exceed 64 KiB.
    """
    meta: dict[str, Any] = {
        name: value for name in _TEXTS if (value := getattr(task, name)) not in (None, "")
    }
    if task.max_attempts != _DEFAULT_ATTEMPTS:
        meta["max_attempts"] = task.max_attempts
    if task.labels is not None:
        meta["labels"] = dict(task.labels)
    meta |= {
        name: value for name in ("cost", "tokens") if (value := getattr(task, name)) is not None
    }
    if task.backoff is not None:
        meta["backoff"] = [task.backoff.base, task.backoff.cap]
    if task.payload is not None:
        meta["payload"] = 1
    if not meta:
        return b""
    head = json.dumps(meta, separators=(",", ":")).encode()
    if len(head) > _MAX_META_BYTES:
        raise ValueError(
            f"labels and attribution of a task take {len(head)} bytes, at most {_MAX_META_BYTES} "
            "are allowed: move them into the payload"
        )
    return b"%b%b\n%b" % (_BODY_VERSION, head, task.payload or b"")


def decode_body(body: bytes, task: Task) -> Task:
    """`task` with what `encode_body` wrote. Raises ValueError for a newer version's body, and for
    one that nobody of ours has written."""
    if not body:
        return task
    if body[:1] != _BODY_VERSION:
        raise ValueError(f"task {task.task_id} was written by a newer version: upgrade loco-redis")
    head, _, payload = body[1:].partition(b"\n")
    try:
        meta = json.loads(head)
        has_payload = meta.pop("payload", 0)
        if (waits := meta.pop("backoff", None)) is not None:
            meta["backoff"] = Backoff(*waits)
        return replace(task, payload=payload if has_payload else None, **meta)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the body of task {task.task_id} cannot be read: {error}") from None
