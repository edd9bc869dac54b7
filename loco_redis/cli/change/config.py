"""`loco-redis config`: the settings of a resource, for the whole fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._acting import act, checked, confirm, existing, say
from loco_redis.cli._console import table
from loco_redis.cli._errors import Broken, Refused
from loco_redis.cli._options import json_option, resource_options, yes_option
from loco_redis.cli._report import documented, emit
from loco_redis.cli.change import _settings as settings
from loco_redis.cli.change._settings import Value
from loco_redis.errors import ConfigConflictError
from loco_redis.observe import Observer
from loco_redis.scheduler import AsyncLOCOScheduler

_REMARKS = {
    "rpm": "grants a minute",
    "tpm": "tokens a minute",
    "events": "decisions kept in the log",
    "lease_ttl": "seconds; stays as the first process set it",
}


@dataclass(frozen=True)
class ConfigReport:
    """The settings of a resource by name: capacity, alpha, max_waiters (null: no limit), rpm,
    rpm_burst, tpm, tpm_burst (0: no limit), adaptive_capacity, auto_tune, events (0: no log),
    paused, lease_ttl (seconds; cannot be changed), version; with KEY only that one.
    `alpha_in_force` differs from alpha where auto_tune moves it."""

    resource: str
    settings: dict[str, int | float | bool | None]
    alpha_in_force: float


def fetch(observer: Observer, key: str | None = None) -> ConfigReport:
    now = observer.snapshot()
    found = settings.of(now)
    return ConfigReport(observer.name, {key: found[key]} if key else found, now.alpha)


def view(report: ConfigReport) -> RenderableType:
    if len(report.settings) == 1:
        return Text(settings.text(*report.settings.values()))
    made = table("setting", "value", "", left=3)
    for name, value in report.settings.items():
        made.add_row(name, settings.text(value), Text(_remark(report, name), style="dim"))
    return made


def _remark(report: ConfigReport, name: str) -> str:
    if name == "alpha" and report.settings["auto_tune"]:
        return f"auto_tune has moved it to {report.alpha_in_force:g}"
    if name in ("rpm", "tpm") and not report.settings[name]:
        return f"no limit of {_REMARKS[name]}"
    return _REMARKS.get(name, "")


def preview(name: str, rows: Sequence[tuple[str, Value, Value]]) -> RenderableType:
    """What `config set` is going to change."""
    lines = [f"  {key}  {settings.text(old)} -> {settings.text(new)}" for key, old, new in rows]
    if any(key == "events" and not new for key, _, new in rows):
        lines.append("  the decisions kept so far are deleted")
    return Group(Text(f"{name}, for the whole fleet, at once:"), *map(Text, lines))


@click.group("config")
def command() -> None:
    """Show and change settings. They hold for the whole fleet: capacity, alpha, limits and rates.

    Example:  loco-redis config set capacity=5 max_waiters=100
    """


@documented(ConfigReport)
@command.command("get")
@click.argument("key", required=False)
@resource_options
@json_option
def get(redis: str | None, name: str | None, key: str | None, as_json: bool) -> None:
    """Show all settings, or the value of KEY alone.

    Example:  loco-redis config get capacity
    """
    if key is not None and key not in settings.ALL:
        raise Refused(f"unknown setting {key!r}: known are {', '.join(settings.ALL)}")
    with existing(redis, name) as observer:
        emit(fetch(observer, key), as_json, view)


@command.command("set")
@click.argument("pairs", metavar="KEY=VALUE...", nargs=-1, required=True)
@resource_options
@click.option(
    "--if-version",
    type=click.IntRange(1),
    metavar="N",
    help="Only if that is still the version of the settings.",
)
@click.option("--force", is_flag=True, help="Also if they were changed while this asked you.")
@yes_option
def set_(
    redis: str | None,
    name: str | None,
    pairs: tuple[str, ...],
    if_version: int | None,
    force: bool,
    yes: bool,
) -> None:
    """Change settings, all of them at once; nobody loses a slot by it.

    Keys: capacity, alpha, max_waiters (or none), rpm and tpm (0: no limit) with rpm_burst and
    tpm_burst, adaptive_capacity, auto_tune and paused (on, off), events. If somebody else changes
    anything while this asks, nothing is changed.

    Example:  loco-redis config set capacity=5 max_waiters=none --if-version 6
    """
    if force and if_version is not None:
        raise click.UsageError("--force and --if-version contradict each other")
    asked = settings.parse(pairs)
    with existing(redis, name) as observer:
        stored = observer.snapshot()
        before = settings.of(stored)
        plan = checked(lambda: settings.planned(observer.name, before, asked))
        if if_version not in (None, stored.version):
            raise _conflict(observer.name, if_version, stored.version)
        rows = settings.changes(before, plan)
        if not rows:
            say(f"nothing to change: {observer.name} is set so already (version {stored.version})")
            return
        confirm(preview(observer.name, rows), yes)
        # Who was asked has agreed to a change of what was shown, not of what is there by now.
        seen = None if yes or force else stored.version
        version = _reconfigure(observer, plan, if_version or seen)
        say(f"done: version {stored.version} -> {version}")


def _reconfigure(observer: Observer, plan: Mapping[str, Value], version: int | None) -> int:
    arguments: dict[str, Any] = dict(plan)
    if "max_waiters" in plan and plan["max_waiters"] is None:
        arguments["max_waiters"] = -1

    async def reconfigure(scheduler: AsyncLOCOScheduler) -> int:
        return await scheduler.reconfigure(**arguments, if_version=version)

    try:
        return act("config set", observer, reconfigure)
    except Broken as error:
        if isinstance(error.__cause__, ConfigConflictError):
            found = error.__cause__
            raise _conflict(observer.name, found.expected, found.found) from error
        raise


def _conflict(name: str, seen: int | None, found: int) -> Broken:
    return Broken(
        f"version {found} is stored, you saw {seen}: somebody else changed it; "
        f"look again with `loco-redis config get -n {name}`"
    )
