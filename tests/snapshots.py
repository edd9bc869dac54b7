"""Snapshots made by hand."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from loco_redis import Snapshot

_LISTS = ("agents", "holders", "waiters", "sessions")


def made(**facts: Any) -> Snapshot:
    """What is not said is 0, empty, or without a limit."""
    plain: dict[str, Any] = {field.name: 0 for field in fields(Snapshot)}
    plain |= dict.fromkeys(_LISTS, ()) | {"max_waiters": None, "name": "llm"}
    plain |= {"paused": False, "auto_tune": False, "adaptive_capacity": False}
    return Snapshot(**plain | facts)
