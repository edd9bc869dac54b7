"""How limits are given and shown: amounts, periods, and `none`."""

from __future__ import annotations

from typing import Any

import click

from loco_redis.cli._console import seconds
from loco_redis.observe.rules import Period

#: What takes a limit away.
NONE = "none"


class Limit(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """A number, or `none` (as the text itself, to tell it from an option that was not given)."""

    def __init__(self, kind: type[int] | type[float] = float) -> None:
        self._kind = kind
        self.name = "n|none" if kind is int else "amount|none"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        if value == NONE:
            return NONE
        try:
            return self._kind(value)
        except ValueError:
            what = "a whole number" if self._kind is int else "a number"
            self.fail(f"{value!r} is not {what} or {NONE}", param, ctx)


class PeriodType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """`day`, `month`, seconds, or `none`."""

    name = "day|month|seconds|none"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        if value in ("day", "month", NONE):
            return str(value)
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not day, month, a number of seconds or {NONE}", param, ctx)


def chosen(given: Any, stored: Any) -> Any:
    """What holds when an option says `given`: nothing keeps, `none` removes."""
    if given is None:
        return stored
    return None if given == NONE else given


def amount(value: float | None, without: str = "-") -> str:
    """An amount of cost, to a thousandth."""
    return without if value is None else f"{value:,.3f}".rstrip("0").rstrip(".")


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def period_text(period: Period) -> str:
    if period is None:
        return "in all"
    return f"a {period}" if isinstance(period, str) else f"in {seconds(period)}"
