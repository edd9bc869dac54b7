"""docs/cli.md is what the commands say, and `--json` prints what docs/cli.md says."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shlex
import types
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from loco_redis.cli import SECTIONS, main
from tests.cli.calls import invoke
from tests.cli.every_command import CALLS, governed_fleet
from tests.docs.test_documents import DOCUMENTS, ROOT
from tests.servers import Server

DOCS = ROOT / "docs"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cli_reference", DOCS / "cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _command(path: str) -> click.Command:
    """Of its words, such as `config get`."""
    found: click.Command = main
    for word in path.split():
        assert isinstance(found, click.Group), path
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, path
        found = inner
    return found


def test_the_page_is_up_to_date() -> None:
    """Written anew by `make docs`."""
    assert _generator().page() == (DOCS / "cli.md").read_text()


def test_every_command_has_an_example_of_itself() -> None:
    """Subcommands, too."""
    for _, names in SECTIONS.values():
        for name in names.split():
            command = _command(name)
            inner = command.commands if isinstance(command, click.Group) else {}
            for path in (name, *(f"{name} {word}" for word in inner)):
                assert f"Example:  loco-redis {path}" in (_command(path).help or ""), path


def test_json_is_what_the_page_says(server: Server) -> None:
    """Every reading command prints exactly the fields of its report, of the types it names."""
    reading = [path for path in CALLS if hasattr(_command(path), "report")]
    assert len(reading) > 15
    with governed_fleet(server.url) as fleet:
        for path in reading:
            result = invoke(*path.split(), *CALLS[path].split(), "--json", "-u", fleet.url)
            found = json.loads(result.output)
            assert found.pop("schema") == 1, path
            _fits(found, _command(path).report, path)  # type: ignore[attr-defined]


def _fits(value: Any, hint: Any, where: str) -> None:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        assert value.keys() == {field.name for field in dataclasses.fields(hint)}, where
        for name, inner in value.items():
            _fits(inner, hints[name], f"{where}.{name}")
    elif origin in (types.UnionType, typing.Union):
        fitting = [part for part in arguments if _is(value, part)]
        assert fitting, (where, value)
        _fits(value, fitting[0], where)
    elif origin in (list, tuple):
        for inner in value:
            _fits(inner, arguments[0], where)
    elif origin is typing.Literal:
        assert value in arguments, where
    elif origin is not None:
        for inner in value.values():
            _fits(inner, arguments[-1], where)
    else:
        assert _is(value, hint), (where, value)


def _is(value: Any, hint: Any) -> bool:
    """Of the same kind in JSON."""
    if hint is Any:
        return True
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool, type(None)):
        return isinstance(value, hint)
    is_array = typing.get_origin(hint) in (list, tuple)
    return isinstance(value, list) if is_array else isinstance(value, dict)


def _calls() -> list[Any]:
    """The lines of the documents that call `loco-redis`; docs/cli.md has usage lines, too."""
    calls = []
    for path in DOCUMENTS:
        if path.name == "cli.md":
            continue
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("    loco-redis "):
                calls.append(pytest.param(line.strip(), id=f"{path.name}: {line.strip()}"))
    return calls


@pytest.mark.parametrize("line", _calls())
def test_calls_in_the_documents_are_understood(line: str, tmp_path: Path) -> None:
    """Each names a command that there is, with options and values that it takes."""
    words = shlex.split(re.split(r" [>|] ", line)[0], comments=True)[1:]
    trace = tmp_path / "trace.csv"
    trace.touch()
    words = [str(trace) if word.endswith(".csv") else word for word in words]
    context = click.Context(main, info_name="loco-redis")
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, inner = words[0], command.get_command(context, words[0])
        assert inner is not None, line
        command, words = inner, words[1:]
        if not isinstance(command, click.Group):
            command.make_context(name, words, parent=context)
            return
    assert isinstance(command, click.Group)
    assert not words
