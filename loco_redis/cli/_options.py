"""Options that several commands have, and what they accept."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Any, TypeVar

import click

from loco_redis._endpoint import Endpoint
from loco_redis._validate import resource_name

F = TypeVar("F", bound=Callable[..., Any])


def between(least: float, most: float) -> Callable[..., float]:
    """A callback that refuses numbers out of the range; NaN too, which click's own lets pass."""

    def check(ctx: click.Context, param: click.Parameter, value: float) -> float:
        # NaN fails every comparison.
        if not least <= value <= most:
            raise click.BadParameter(f"{value:g} is not in the range {least:g} to {most:g}")
        return value

    return check


def redis_option(default: str = "default: LOCO_REDIS_URL, then REDIS_URL") -> Callable[[F], F]:
    return click.option(
        "-u", "--redis", metavar="URL", callback=_checked_url, help=f"Redis; {default}."
    )


def _checked_url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            Endpoint.parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


def _checked_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            resource_name(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


def resource_options(function: F) -> F:
    """`redis` and `name`: which resource is meant; see `_target.open_target`."""
    named = click.option(
        "-n",
        "--name",
        metavar="RESOURCE",
        callback=_checked_name,
        help="Which resource; may be left out where the server has only one.",
    )
    return redis_option()(named(function))


def name_option(text: str) -> Callable[[F], F]:
    """`name` for a command to which leaving it out means something else."""
    return click.option("-n", "--name", metavar="RESOURCE", callback=_checked_name, help=text)


agent_option = click.option("--agent", metavar="AGENT", help="Only those of this agent.")

limit_option = click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many rows."
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing else."
)

yes_option = click.option("-y", "--yes", is_flag=True, help="Do it without asking.")


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """A span of time in seconds, as `90`, `90s`, `5m`, `2h`, `1d` or `20ms`."""

    name = "duration"
    _UNITS = types.MappingProxyType({"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400})

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if not isinstance(value, str):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|[smhd]?)", value.strip())
        if not found:
            self.fail(f"{value!r} is not a span of time such as 90s, 5m, 2h, 1d, 20ms", param, ctx)
        return float(found[1]) * self._UNITS[found[2] or "s"]
