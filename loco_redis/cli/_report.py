"""What a reading command found, as a frozen value: JSON for programs, tables for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import RenderableType

from loco_redis.cli._console import make_console

#: Of what `--json` prints; it grows when a field is renamed or removed, not when one is added.
SCHEMA = 1

R = TypeVar("R")


def emit(report: R, as_json: bool, view: Callable[[R], RenderableType]) -> None:
    """Print a report, a dataclass: its fields as one JSON object with `schema`, or its view."""
    if as_json:
        click.echo(to_json(report))
    else:
        make_console().print(view(report))


def to_json(report: Any) -> str:
    return json.dumps({"schema": SCHEMA, **dataclasses.asdict(report)}, allow_nan=False)


def documented(report: type[Any]) -> Callable[[click.Command], click.Command]:
    """Says what `--json` of a command prints: docs/cli.md and the tests read it."""

    def mark(command: click.Command) -> click.Command:
        command.report = report  # type: ignore[attr-defined]  # a note on a click object
        return command

    return mark
