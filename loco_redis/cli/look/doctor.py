"""`loco-redis doctor`: is everything as it should be?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loco_redis.cli._console import shown
from loco_redis.cli._options import json_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._target import open_link
from loco_redis.cli.look import _examine as examine
from loco_redis.cli.look._here import frameworks, here
from loco_redis.cli.look._rights_check import lacking
from loco_redis.errors import BackendPermissionError, UnknownResourceError
from loco_redis.observe import Link, resource_names
from loco_redis.observe.diagnosis import Finding, note, ok

_ANY = "any"  # a name for looking at rights where there is no resource yet
_STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}


@dataclass(frozen=True)
class Section:
    """Findings about one `subject`: "here", "frameworks", "server URL" or "resource NAME"."""

    subject: str
    findings: list[Finding]


@dataclass(frozen=True)
class DoctorReport:
    """All findings; `wrong` and `notes` are how many of them are in that state."""

    server: str
    wrong: int
    notes: int
    sections: list[Section]


def fetch(link: Link, redis: str | None, name: str | None, deep: bool) -> DoctorReport:
    """Raises UnknownResourceError where nothing is known of `name`."""
    names, listing = _names(link, name)
    surroundings = [*here(link.where, redis), *listing]
    sections = [Section("here", surroundings), Section("frameworks", [*frameworks()])]
    nodes: dict[str, Link] = {}
    resources = []
    with contextlib.ExitStack() as stack:
        for each in names:
            findings = [*examine.resource(link, each, deep)]
            if node := examine.owner(link, each):
                findings.insert(0, examine.placed(node, each))
                nodes.setdefault(node.where, stack.enter_context(node))
            resources.append(Section(f"resource {each}", findings))
        first = names[0] if names else _ANY
        if not nodes and (node := examine.owner(link, first)):
            nodes[node.where] = stack.enter_context(node)
        for where, node in (nodes or {link.where: link}).items():
            findings = [*examine.server(node, first, of_cluster=node is not link)]
            sections.append(Section(f"server {where}", findings))
    return _report(link.where, [*sections, *resources])


def _names(link: Link, name: str | None) -> tuple[list[str], Iterable[Finding]]:
    """The resources to look at, and what there is to say of their list."""
    try:
        known = resource_names(link)
    except BackendPermissionError as error:
        right = lacking("SMEMBERS", error.detail)
        listing = note("resources", f"unknown: needs the right {right}", "name one by -n")
        return ([name] if name else []), [listing]
    if name is None:
        return known, [ok("resources", ", ".join(known) or "none yet")]
    if name in known:
        return [name], []
    if examine.is_gone(link, name):
        raise UnknownResourceError(name, link.where)
    text = f"{name} is not in the list of resources: only -n finds it"
    return [name], [note("resources", text, "the next scheduler that may (+sadd) enters it")]


def _report(where: str, sections: list[Section]) -> DoctorReport:
    states = [finding.state for section in sections for finding in section.findings]
    return DoctorReport(where, states.count("wrong"), states.count("note"), sections)


def view(report: DoctorReport) -> RenderableType:
    parts: list[RenderableType] = [_summary(report)]
    for section in report.sections:
        parts += [Text(), Text(shown(section.subject), style="bold"), _table(section.findings)]
    return Group(*parts)


def _summary(report: DoctorReport) -> Text:
    count = sum(len(section.findings) for section in report.sections)
    notes = f"{report.notes} note{'' if report.notes == 1 else 's'}"
    if report.wrong:
        return Text(f"{report.wrong} of {count} checks found something wrong, {notes}", "bold red")
    return Text(f"nothing wrong in {count} checks, {notes}", "bold green")


def _table(findings: Iterable[Finding]) -> Table:
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True, min_width=len("wrong"))
    made.add_column(no_wrap=True, min_width=len("scheduler rights"))
    made.add_column(overflow="fold")
    for finding in findings:
        text = Text(shown(finding.text))
        for number, line in enumerate(finding.advice.splitlines()):
            text.append(f"\n{'   ' if number else '-> '}{shown(line)}", style="dim")
        state = Text(finding.state, style=_STYLES[finding.state])
        made.add_row(state, finding.check, text)
    return made


@documented(DoctorReport)
@click.command("doctor")
@resource_options
@click.option(
    "--deep", is_flag=True, help="Check all rows, however many: the server stands still meanwhile."
)
@json_option
def command(redis: str | None, name: str | None, deep: bool, as_json: bool) -> None:
    """Check this host, the server and its resources (without -n: all of them): settings that lose
    data, missing rights, clocks, stale sessions, and rows that contradict each other. Shows the
    frameworks that are installed, and the lines to paste for the adapter of each. Ends with
    status 1 if anything is wrong, and says what to do.

    Example:  loco-redis doctor -u redis://10.0.0.5
    """
    with open_link(redis) as link:
        report = fetch(link, redis, name, deep)
    emit(report, as_json, view)
    if report.wrong:
        raise click.exceptions.Exit(1)
