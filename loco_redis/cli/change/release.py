"""`loco-redis release`: take a slot from its holder."""

from __future__ import annotations

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._acting import act, confirm, existing, say
from loco_redis.cli._console import seconds, shown
from loco_redis.cli._errors import Broken
from loco_redis.cli._options import resource_options, yes_option
from loco_redis.cli._rows import HolderRow, holder_rows, process
from loco_redis.observe import Observer


def fetch(observer: Observer, token: int | None, slot: int | None) -> HolderRow | None:
    """The lease that is meant, or None."""
    for row in holder_rows(observer.requests().holders, observer.sessions()):
        if token == row.token or slot == row.slot:
            return row
    return None


def view(row: HolderRow) -> RenderableType:
    """What is going to be done, and what it does not do."""
    first = Text.assemble(
        f"take slot {row.slot} from ",
        (shown(row.agent_id), "bold"),
        " at ",
        process(row.host, row.pid),
        f", which has held it for {seconds(row.age)} (token {row.token}, weight {row.weight:g})",
    )
    lines = ["It is told that the lease is lost. Redis cannot stop the work itself: whatever that"]
    lines.append("writes to must check tokens.")
    if row.task_id:
        lines.append(f"Its durable task {row.task_id} was on attempt {row.attempt}: it is queued")
        lines.append("again, or dead if that was its last attempt.")
    return Group(first, *(Text(line, style="dim") for line in lines))


@click.command("release")
@click.argument("token", type=click.IntRange(1), required=False)
@click.option("--slot", type=click.IntRange(0), metavar="N", help="By its slot instead of a token.")
@resource_options
@yes_option
def command(
    redis: str | None, name: str | None, token: int | None, slot: int | None, yes: bool
) -> None:
    """Take a slot from its holder, as if its process had died. TOKEN is the lease's fencing token,
    as `loco-redis holders` lists it.

    Example:  loco-redis release 1764000000000001
    """
    if (token is None) == (slot is None):
        raise click.UsageError("give a TOKEN of `loco-redis holders`, or --slot N")
    with existing(redis, name) as observer:
        row = fetch(observer, token, slot)
        if row is None:
            raise Broken(
                f"nobody holds slot {slot} of {observer.name}"
                if token is None
                else f"no lease of {observer.name} has token {token}: it has ended, or never was"
            )
        confirm(view(row), yes)
        held = row.token
        act("release", observer, lambda scheduler: scheduler.operations.release(held))
        say(f"done: slot {row.slot} is taken from {shown(row.agent_id)}")
