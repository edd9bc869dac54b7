"""Checks of arguments that several parts of governance take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loco_redis import _validate as validate


def thousandths(what: str, value: float, low: float = 0) -> int:
    """Of a limit, up to 1e12."""
    return round(validate.number(what, value, low, validate.MAX_COST) * validate.THOUSAND)


def by_agent(what: str, rules: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """The items of a mapping whose keys must be agent ids."""
    if rules is None:
        return []
    if not isinstance(rules, Mapping):
        raise ValueError(
            f"{what} must be a mapping of agent ids, such as {{'batch': ...}}, "
            f"got {validate.shown(rules)}"
        )
    for agent_id in rules:
        validate.agent_id(agent_id)
    return [*rules.items()]
