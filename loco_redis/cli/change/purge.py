"""`loco-redis purge`: delete a resource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis._keys import REGISTRY, Keys
from loco_redis.cli._acting import confirm, say
from loco_redis.cli._console import seconds, shown
from loco_redis.cli._errors import Broken
from loco_redis.cli._options import resource_options, yes_option
from loco_redis.cli._target import open_target
from loco_redis.cli.change._units import counted
from loco_redis.errors import UnknownResourceError
from loco_redis.observe import Observer, resource_names
from loco_redis.snapshots import SessionSnapshot, Snapshot

_LISTED = 10


@dataclass(frozen=True)
class Present:
    """What there is of a resource; `now` None: nothing but perhaps its name in the list."""

    name: str
    where: str
    now: Snapshot | None
    sessions: Sequence[SessionSnapshot]


def fetch(observer: Observer) -> Present:
    """Raises UnknownResourceError where there is not even its name."""
    where = observer.link.where
    try:
        now = observer.snapshot()
    except UnknownResourceError:
        if observer.name not in resource_names(observer.link):
            raise
        return Present(observer.name, where, None, ())
    return Present(observer.name, where, now, observer.sessions())


def view(found: Present) -> RenderableType:
    """What is going to be deleted."""
    if found.now is None:
        return Text(f"delete what is left of {found.name} at {found.where}: nothing but its name")
    now = found.now
    waiting = now.waiting + now.serving
    lines = [
        Text.assemble("delete ", (found.name, "bold"), f" at {found.where}, all of it, for good:"),
        Text(f"  {counted(now.held, 'slot')} held, {counted(waiting, 'request')} waiting"),
        Text(f"  {counted(now.durable_tasks, 'durable task')}"),
        Text(f"  {counted(now.registered, 'registered agent')}"),
        Text("  its settings, rules, budgets, costs and other figures, and its events"),
    ]
    if found.sessions:
        lines.append(Text("  under these processes, which make it anew if they still run:"))
        lines += [Text(f"    {line}") for line in _sessions(found.sessions)]
    return Group(*lines)


def _sessions(sessions: Sequence[SessionSnapshot]) -> list[str]:
    lines = [
        f"{shown(row.host)}:{row.pid}, alive for {seconds(row.expires_in)} more at least"
        for row in sessions[:_LISTED]
    ]
    if len(sessions) > _LISTED:
        lines.append(f"and {len(sessions) - _LISTED:,} more")
    return lines


def delete(observer: Observer) -> None:
    """Exactly the keys of the resource, and its name in the list."""
    # One command: they share a slot of a cluster. The list may be on another node.
    observer.link.call("UNLINK", *Keys(observer.name).all)
    observer.link.call("SREM", REGISTRY, observer.name)


@click.command("purge")
@click.option("--force", is_flag=True, help="Also while sessions of it live.")
@resource_options
@yes_option
def command(redis: str | None, name: str | None, force: bool, yes: bool) -> None:
    """Delete a resource and all under its name. That is settings, tasks, rules, accounts and
    figures. Not while sessions of it live: stop its processes first.

    Example:  loco-redis purge -n old_api
    """
    if yes and name is None:
        raise click.UsageError("--yes deletes without asking: name the resource by -n")
    with open_target(redis, name) as observer:
        found = fetch(observer)
        if found.sessions and not force:
            first = "; ".join(_sessions(found.sessions[:3]))
            raise Broken(
                f"in use by {counted(len(found.sessions), 'session')} ({first}): stop them, "
                "end dead ones by `loco-redis reap --wait`, or give --force"
            )
        confirm(view(found), yes)
        delete(observer)
    say(f"done: {found.name} is deleted")
