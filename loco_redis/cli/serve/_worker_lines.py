"""What `loco-redis workers` says, a line for each event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loco_redis.cli._console import seconds, shown


def line(event: str, facts: Mapping[str, Any]) -> str:
    """In words; names and errors without control characters."""
    return shown(_WORDS[event](facts))


def _scaled(facts: Mapping[str, Any]) -> str:
    known = [f"{facts['backlog']} queued", f"{facts['running']} running"]
    if facts["service"] is not None:
        known.append(f"{seconds(facts['service'])} each")
    if facts["arrivals"] is not None:
        known.append(f"{facts['arrivals']:.3g}/s come in")
    return f"{facts['before']} -> {facts['workers']} workers: {', '.join(known)}"


def _died(facts: Mapping[str, Any]) -> str:
    later = f"in {seconds(facts['retry_in'])}" if facts["retry_in"] else "now"
    return f"{_who(facts)} died: {facts['error']}; the next starts {later}"


def _ended(facts: Mapping[str, Any]) -> str:
    return f"{_who(facts)} ended: {facts['done']} tasks done, {facts['failed']} failed"


def _who(facts: Mapping[str, Any]) -> str:
    return f"worker {facts['worker']} (pid {facts['pid']})"


_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "serving": lambda f: (
        f"workers of {f['handlers']} serve {f['resource']} at {f['where']}, until Ctrl-C"
    ),
    "scaled": _scaled,
    "started": lambda f: f"{_who(f)} started",
    "draining": lambda f: f"{_who(f)} takes no more tasks",
    "ended": _ended,
    "died": _died,
    "killed": lambda f: f"{_who(f)} was killed: it had not ended within {seconds(f['grace'])}",
    "blind": lambda f: f"{f['error']}: {f['workers']} workers stay until Redis can be read",
}
