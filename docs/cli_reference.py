"""Writes docs/cli.md from the commands themselves: `python docs/cli_reference.py`."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from loco_redis.cli import SECTIONS, main
from loco_redis.cli._report import SCHEMA

PAGE = Path(__file__).with_name("cli.md")
#: Explained once, at the top.
_COMMON = {"--redis", "--name", "--json"}

_INTRO = f"""# The command line

This page is written by `python docs/cli_reference.py` from the commands themselves.

`loco-redis COMMAND` shows and changes the state of a fleet from any host that reaches its Redis.
Which Redis: `-u/--redis URL`, else `LOCO_REDIS_URL`, else `REDIS_URL`. Which resource: `-n/--name`;
it may be left out where the server has only one. Where this user may run functions but no
scripts of its own, set `LOCO_REDIS_SCRIPTS=functions` ([security.md](security.md)).

| exit status | meaning |
|---|---|
| 0 | fine |
| 1 | something was found wrong, or is not as it was asked for |
| 2 | bad usage, or no such server: one line on stderr says what to do |
| 130 | interrupted |

On a terminal there are colours, unless `NO_COLOR` is set; a pipe gets plain text. Commands that
look write nothing into Redis. `--json` prints one object: `"schema": {SCHEMA}` and the fields
listed below each command. Fields may be added; a renamed or removed one raises `schema`. Times are
seconds, weights and costs are units, ages are ticks.

Completion for your shell: `eval "$(_LOCO_REDIS_COMPLETE=bash_source loco-redis)"`, or `zsh_source`,
or `_LOCO_REDIS_COMPLETE=fish_source loco-redis | source`.
"""


def page() -> str:
    parts = [_INTRO]
    context = click.Context(main, info_name="loco-redis")
    for section, (_, names) in SECTIONS.items():
        parts.append(f"## {section}\n")
        for name in names.split():
            command = main.get_command(context, name)
            assert command is not None
            parts += _command(command, f"loco-redis {name}", "###")
    return "\n".join(parts).rstrip() + "\n"


def _command(command: click.Command, path: str, heading: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    prose, example = _prose(command.help or "")
    yield f"{heading} {path}\n"
    yield f"    {' '.join([path, *command.collect_usage_pieces(context)])}\n"
    yield f"{prose}\n"
    if example:
        yield f"Example: `{example}`\n"
    records = [(p, p.get_help_record(context)) for p in command.params]
    rows = [row for p, row in records if row and not _COMMON.intersection(p.opts)]
    if rows:
        yield "| option | meaning |\n|---|---|"
        yield "".join(f"| `{_cell(left)}` | {_cell(right)} |\n" for left, right in rows)
    common = [f"`{p.opts[0]}`" for p, row in records if row and _COMMON.intersection(p.opts)]
    if common:
        yield f"Common options: {', '.join(common)}.\n"
    if report := getattr(command, "report", None):
        yield "".join(_report(report))
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(inner, f"{path} {name}", heading + "#")


def _prose(text: str) -> tuple[str, str]:
    """The help without its example, and that."""
    text = inspect.cleandoc(text).replace("\b\n", "")
    found = re.search(r"(?m)^Example:  (.*)$", text)
    return re.sub(r"\n*Example:  .*$", "", text, flags=re.MULTILINE), found[1] if found else ""


def _report(report: type[Any]) -> Iterator[str]:
    """What `--json` prints: a line for each kind of object, outermost first."""
    seen: list[type[Any]] = []
    todo = [report]
    while todo:
        kind = todo.pop(0)
        seen.append(kind)
        hints = typing.get_type_hints(kind)
        fields = [(f.name, hints[f.name]) for f in dataclasses.fields(kind)]
        about = " ".join((inspect.getdoc(kind) or "").split())
        name = "JSON" if kind is report else f"*{kind.__name__}*"
        yield f"- {name}: {', '.join(f'`{field}` {_named(hint)}' for field, hint in fields)}.\n"
        yield f"  {about}\n"
        for _, hint in fields:
            todo += [inner for inner in _dataclasses(hint) if inner not in seen + todo]


def _dataclasses(hint: Any) -> list[type[Any]]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return [hint]
    return [found for part in typing.get_args(hint) for found in _dataclasses(part)]


def _named(hint: Any) -> str:
    """A type in JSON's words."""
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_named(part) for part in arguments)
    if origin in (list, tuple):
        return f"array of {_named(arguments[0])}"
    if origin is typing.Literal:
        return " or ".join(f'"{value}"' for value in arguments)
    if origin is not None:  # a mapping
        return f"object: {_named(arguments[-1])} by name"
    if hint is Any:
        return "any"
    names = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return names.get(hint) or f"*{hint.__name__}*"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
