"""Reports that differ in one figure: a picture that is the same for both does not show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any


def changed(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The path of each leaf of a frozen dataclass, and the whole with that leaf changed."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for where, part in changed(getattr(value, field.name), f"{path}.{field.name}"):
                yield where, replace(value, **{field.name: part})
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            for where, part in changed(item, path):
                yield where, (*value[:place], part, *value[place + 1 :])
    else:
        yield path.removeprefix("."), _other(value)


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, dict):
        return {**value, "OtherError": 77}
    if value is None:
        return 0.123
    return value * 2 + 1
