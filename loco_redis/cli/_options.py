"""Options that several commands have, and what they accept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from loco_redis.config import Endpoint

F = TypeVar("F", bound=Callable[..., Any])


def between(least: float, most: float) -> Callable[..., float]:
    """A callback that refuses numbers out of the range; NaN too, which click's own lets pass."""

    def check(ctx: click.Context, param: click.Parameter, value: float) -> float:
        # NaN fails every comparison.
        if not least <= value <= most:
            raise click.BadParameter(f"{value:g} is not in the range {least:g} to {most:g}")
        return value

    return check


def redis_option(default: str) -> Callable[[F], F]:
    return click.option("--redis", metavar="URL", callback=_checked_url, help=f"Redis; {default}.")


def _checked_url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            Endpoint.parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing else."
)
