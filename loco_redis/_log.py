"""The decisions of this process as log records, and LOCO_LOG, which prints them.

Each record of the logger `loco_redis.decisions` (INFO) carries its facts as `record.loco`:

| event | facts beside `event`, `resource`, `agent` |
|---|---|
| `enqueue` | request, weight (of a task of its own), queue (the agent's Q with it), tick |
| `grant` | request, weight, tick, score, waited_ticks, waited_seconds, slot, token, attempt, task |
| `release` | request, tick, slot, token, cost, util (0 to 1: slots held just after it) |
| `refuse` | request, why, and the numbers of the error, such as limit, used, asked, timeout |
| `cancel` | request: its caller was cancelled while it waited |
| `lost` | request, slot, token, why |
| `submit` | task, weight |
| `reconfigure` | version, and what has changed (no agent) |

What is not known without asking Redis again is left out. Weights and costs are in units. There are
no prompts, payloads, labels or credentials in them. While nobody listens nothing is computed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from loco_redis._replies import AcquireReply, Grant, ReleaseReply, Status, StoredConfig
from loco_redis._scripts import rid
from loco_redis._validate import shown
from loco_redis._visible import shown as visible
from loco_redis.errors import (
    AcquireTimeoutError,
    BackendError,
    BackpressureError,
    EvictedError,
    PolicyViolationError,
    ShutdownError,
    TenantLimitError,
)

if TYPE_CHECKING:
    from loco_redis._ledger import Request
    from loco_redis.lease import BaseLease

VARIABLE = "LOCO_LOG"

_logger = logging.getLogger("loco_redis.decisions")
_wanted = partial(_logger.isEnabledFor, logging.INFO)

# When Redis answered a request, and whether it had been granted by then.
_answered: WeakKeyDictionary[asyncio.Future[Grant], tuple[int, bool]] = WeakKeyDictionary()

_REASONS: dict[type[BaseException], str] = {
    BackpressureError: "backpressure",
    TenantLimitError: "tenant_agents",
    AcquireTimeoutError: "timeout",
    EvictedError: "evicted",
    ShutdownError: "shutdown",
    BackendError: "backend",
}
_NUMBERS = ("limit", "used", "asked", "max_waiters", "max_agents", "timeout", "retry_after")


def enqueued(request: Request, name: str, reply: AcquireReply, retried: bool) -> None:
    """Redis has answered an acquire."""
    if not _wanted() or reply.status not in (Status.GRANTED, Status.QUEUED):
        return
    weight = None if request.weight is None else request.weight / 1000
    # A repeat may be answered long after it joined the queue.
    known = not retried
    if known:
        _answered[request.future] = (reply.tick, reply.status is Status.GRANTED)
    _tell(
        "enqueue", name, request.agent_id, request=_rid(request), weight=weight,
        queue=reply.depth if known else None, tick=reply.tick if known else None,
    )  # fmt: skip


def granted(lease: BaseLease, request: Request) -> None:
    if not _wanted():
        return
    grant, tick = lease._grant, None
    if found := _answered.get(request.future):
        tick, at_once = found
        if not at_once:
            # The age of a durable task began before it was asked for.
            tick = tick + grant.waited_ticks if grant.task_id is None else None
    _tell(
        "grant", lease.name, lease.agent_id, request=lease.request_id, weight=grant.weight,
        tick=tick, score=grant.score, waited_ticks=grant.waited_ticks,
        waited_seconds=round(lease.waited, 6), slot=grant.slot, token=grant.token,
        attempt=grant.attempt, task=grant.task_id,
    )  # fmt: skip


def released(lease: BaseLease, reply: ReleaseReply, retried: bool) -> None:
    """Redis has answered a release: there may have been nothing to release any more."""
    if not _wanted():
        return
    done = reply.status is Status.OK
    if not done and not (retried and reply.status is Status.FINISHED):
        expired = reply.status is Status.EXPIRED
        lost(lease, "its session expired" if expired else "an operator took the slot back")
        return
    capacity = lease._session.config.capacity
    # The reply to the first sending was lost, and what it said of cost and tick with it.
    _tell(
        "release", lease.name, lease.agent_id, request=lease.request_id,
        tick=reply.tick if done else None, slot=lease.slot, token=lease.token,
        cost=reply.cost if done else None,
        util=round(reply.held / capacity, 4) if capacity else None,
    )  # fmt: skip


def refused(name: str, agent_id: str, error: BaseException, request: Request | None = None) -> None:
    """A request or a task was not let in, or waits no more."""
    if not _wanted():
        return
    ident = _rid(request) if request is not None else None
    if isinstance(error, asyncio.CancelledError):
        _tell("cancel", name, agent_id, request=ident)
        return
    # Not its text: that of a policy of the user's own may say anything.
    numbers = {number: getattr(error, number, None) for number in _NUMBERS}
    _tell("refuse", name, agent_id, request=ident, why=_reason(error), **numbers)


def lost(lease: BaseLease, why: str = "") -> None:
    if _wanted():
        _tell(
            "lost", lease.name, lease.agent_id, request=lease.request_id, slot=lease.slot,
            token=lease.token, why=why or lease._reason,
        )  # fmt: skip


def submitted(name: str, agent_id: str, task_id: str, weight: float) -> None:
    if _wanted():
        _tell("submit", name, agent_id, task=task_id, weight=weight)


def reconfigured(name: str, old: StoredConfig, new: StoredConfig) -> None:
    """By this process or another one; `lease` is in seconds."""
    if not _wanted() or old.version == new.version:
        return
    before, after = asdict(old), asdict(new)
    changes = {field: after[field] for field in after if after[field] != before[field]}
    version = changes.pop("version")
    facts = {"event": "reconfigure", "resource": name, "version": version, **changes}
    _logger.info("%s", _pretty(facts), extra={"loco": facts})


def _tell(event: str, name: str, agent_id: str, **facts: Any) -> None:
    known = {fact: value for fact, value in facts.items() if value is not None}
    told = {"event": event, "resource": name, "agent": agent_id, **known}
    _logger.info("%s", _pretty(told), extra={"loco": told})


def _rid(request: Request) -> str | None:
    """None while it has not been asked for in any session."""
    return rid(request.ledger.session, request.sequence) if request.ledger is not None else None


def _reason(error: BaseException) -> str:
    if isinstance(error, PolicyViolationError):
        return error.policy_name
    found = (reason for kind, reason in _REASONS.items() if isinstance(error, kind))
    return next(found, type(error).__name__)


# Printing

# How the facts of an event are shown, in this order; the tick stands behind them.
_LABELS = {"waited_ticks": "waited"}
_SHOWN = {
    "enqueue": ("weight", "queue"),
    "grant": ("score", "waited_ticks"),
    "release": ("cost", "util"),
    "refuse": ("why", *_NUMBERS),
    "cancel": ("request",),
    "lost": ("slot", "token", "why"),
    "submit": ("weight", "task"),
}
_FORMS: dict[str, Callable[[Any], str]] = {"score": "{:.2f}".format, "util": "{:.0%}".format}
_COLOURS = {
    "enqueue": 36, "grant": 32, "release": 34, "refuse": 33, "cancel": 33, "lost": 31,
    "submit": 36, "reconfigure": 35,
}  # fmt: skip


def _pretty(facts: Mapping[str, Any], colour: bool = False) -> str:
    """One line: `[GRANT] analyst score=0.25 waited=0 (tick 0)`."""
    event = facts["event"]
    names = _SHOWN.get(event) or [n for n in facts if n not in ("event", "resource")]
    said = [
        f"{_LABELS.get(name, name)}={_FORMS.get(name, _plain)(facts[name])}"
        for name in names
        if name in facts
    ]
    tick = f"(tick {facts['tick']})" if "tick" in facts else ""
    tag = f"[{event.upper()}]"
    if colour:
        tag = f"\x1b[1;{_COLOURS[event]}m{tag}\x1b[0m"
        tick = f"\x1b[2m{tick}\x1b[0m" if tick else ""
    return " ".join(
        part for part in (tag, _plain(facts.get("agent", facts["resource"])), *said, tick) if part
    )


def _plain(value: object) -> str:
    """Fit for a terminal: a name must not move the cursor or begin a new line."""
    if isinstance(value, float):
        number = f"{value:.3f}".rstrip("0")
        return number + "0" if number.endswith(".") else number
    return visible(str(value))


class _PrettyFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__()
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._colour = sys.stderr.isatty() and not plain

    def format(self, record: logging.LogRecord) -> str:
        return _pretty(record.loco, self._colour)  # type: ignore[attr-defined]  # by `extra`


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        facts = record.loco  # type: ignore[attr-defined]  # by `extra`
        return json.dumps({"ts": at.isoformat(timespec="microseconds"), **facts})


_FORMATTERS = {"pretty": _PrettyFormatter, "json": _JsonFormatter}
FORMS = tuple(_FORMATTERS)
_installed = False


def install() -> None:
    """Print the decisions to stderr if LOCO_LOG says so; looked at once in a process."""
    global _installed
    if _installed:
        return
    _installed = True
    asked = os.environ.get(VARIABLE, "").strip()
    if not asked:
        return
    formatter = _FORMATTERS.get(asked.lower())
    if formatter is None:
        logging.getLogger("loco_redis").warning(
            "%s=%s is not known: set it to %s", VARIABLE, shown(asked), " or ".join(FORMS)
        )
        return
    handler = logging.StreamHandler()
    handler.setFormatter(formatter())
    _logger.addHandler(handler)
    if not _wanted():
        # Handlers of the program did not get this level before, and shall not now.
        _logger.setLevel(logging.INFO)
        _logger.propagate = False
