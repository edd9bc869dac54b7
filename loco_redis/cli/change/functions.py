"""`loco-redis functions`: the scripts as Redis Functions, loaded by an administrator."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from loco_redis._endpoint import Endpoint
from loco_redis._library import PREFIX
from loco_redis._scripts import library
from loco_redis._url import describe
from loco_redis.cli._acting import confirm, say
from loco_redis.cli._console import table
from loco_redis.cli._errors import Broken
from loco_redis.cli._groups import Listing
from loco_redis.cli._options import json_option, redis_option, yes_option
from loco_redis.cli._report import documented, emit
from loco_redis.cli._target import open_link
from loco_redis.cli.change._units import counted
from loco_redis.observe import Link


@dataclass(frozen=True)
class LibraryRow:
    """A library of some version of loco-redis: on how many masters it is loaded; `needed` by the
    version that is installed here."""

    version: str
    functions: int
    masters: int
    needed: bool


@dataclass(frozen=True)
class FunctionsReport:
    """The version that is needed here, and what is loaded; `masters`: 1 but in a cluster."""

    server: str
    needed: str
    masters: int
    libraries: list[LibraryRow]


def fetch(link: Link) -> FunctionsReport:
    needed, found = library().version, dict[str, list[int]]()
    with _masters(link) as masters:
        for master in masters:
            for version, functions in _loaded(master):
                found.setdefault(version, []).append(functions)
    rows = [
        LibraryRow(version, max(counts), len(counts), version == needed)
        for version, counts in sorted(found.items())
    ]
    return FunctionsReport(link.where, needed, len(masters), rows)


@contextlib.contextmanager
def _masters(link: Link) -> Iterator[list[Link]]:
    """Each has libraries of its own."""
    where = link.endpoint.location
    if where.kind != "cluster":
        yield [link]
        return
    slots = link.call("CLUSTER SLOTS").values()
    with contextlib.ExitStack() as stack:
        nodes = []
        for host, port in sorted({nodes["primary"] for nodes in slots}):
            node = (host or where.nodes[0][0], int(port))
            location = dataclasses.replace(where, kind="single", nodes=(node,))
            nodes.append(stack.enter_context(Link(Endpoint(describe(location), location))))
        yield nodes


def _loaded(master: Link) -> Iterator[tuple[str, int]]:
    """Version and number of functions of each library of ours."""
    for row in master.call("FUNCTION LIST", "LIBRARYNAME", f"{PREFIX}*"):
        # Redis-py makes dicts of rows since version 8.
        pairs: Any = row.items() if isinstance(row, dict) else zip(row[::2], row[1::2], strict=True)
        fields = {_text(name): value for name, value in pairs}
        yield _text(fields["library_name"]).removeprefix(PREFIX), len(fields["functions"])


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def view(report: FunctionsReport) -> RenderableType:
    if not report.libraries:
        return Text(f"no library at {report.server}: loco-redis functions load")
    made = table("version", "functions", "masters", "")
    for row in report.libraries:
        state = "needed here" if row.needed else ""
        masters = f"{row.masters} of {report.masters}"
        made.add_row(row.version, f"{row.functions}", masters, Text(state, style="green"))
    if not any(row.needed for row in report.libraries):
        made.add_row(report.needed, "", "none", Text("needed here", style="yellow"))
    return made


@click.group("functions", cls=Listing)
def command() -> None:
    """Load the scripts as Redis Functions (Redis 7.0, Valkey), for users who may not run scripts of
    their own and set LOCO_REDIS_SCRIPTS=functions. Without a command: `list`.

    Example:  loco-redis functions load
    """


@documented(FunctionsReport)
@command.command("list")
@redis_option()
@json_option
def list_(redis: str | None, as_json: bool) -> None:
    """List the versions that are loaded, and the one that this installation needs.

    Example:  loco-redis functions list
    """
    with open_link(redis) as link:
        emit(fetch(link), as_json, view)


@command.command("show")
def show() -> None:
    """Print the library, to be read or loaded by other means.

    Example:  loco-redis functions show | redis-cli -x FUNCTION LOAD REPLACE
    """
    click.echo(library().text, nl=False)


@command.command("load")
@redis_option()
def load(redis: str | None) -> None:
    """Load the library that this installation needs, on each master of a cluster. Those of other
    versions stay, so that old and new processes work side by side.

    Example:  loco-redis functions load -u redis://admin@10.0.0.5
    """
    needed = library()
    with open_link(redis) as link, _masters(link) as masters:
        for master in masters:
            master.call("FUNCTION LOAD", "REPLACE", needed.text)
            say(f"{needed.name} is loaded at {master.where}")


@command.command("rm")
@click.argument("version")
@redis_option()
@yes_option
def rm(version: str, redis: str | None, yes: bool) -> None:
    """Remove the library of VERSION. Processes that still need it can neither acquire nor release.

    Example:  loco-redis functions rm 0123456789
    """
    version = version.removeprefix(PREFIX)
    if not re.fullmatch(r"\w+", version, re.ASCII):
        raise click.UsageError(f"{version!r} is no version: see `loco-redis functions list`")
    with open_link(redis) as link, _masters(link) as masters:
        having = [master for master in masters if version in dict(_loaded(master))]
        if not having:
            raise Broken(f"there is no library {PREFIX}{version} at {link.where}")
        ours = ", which this installation needs" if version == library().version else ""
        where = link.where if having == [link] else counted(len(having), "master")
        confirm(Text(f"remove {PREFIX}{version}{ours}, from {where}"), yes)
        for master in having:
            master.call("FUNCTION DELETE", PREFIX + version)
    say(f"done: {PREFIX}{version} is removed")
