"""`loco-redis drain`: grant nothing, and wait until nobody holds a slot."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from loco_redis.cli._acting import act, existing, say
from loco_redis.cli._console import make_console, seconds
from loco_redis.cli._errors import Broken
from loco_redis.cli._options import Duration, between, resource_options
from loco_redis.cli._rows import HolderRow, holder_rows, holders_table
from loco_redis.observe import Observer
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.snapshots import Snapshot

_LOOK = 0.1  # seconds between looks at the holders
_LISTED = 20
_LONGEST = 7 * 86400.0


@dataclass(frozen=True)
class Left:
    """Who still holds, some of them listed, and whether the resource is still paused."""

    held: int
    holders: Sequence[HolderRow]
    paused: bool

    @classmethod
    def of(cls, snapshot: Snapshot) -> Left:
        return cls(snapshot.held, holder_rows(snapshot.holders, snapshot.sessions), snapshot.paused)


def view(left: Left, remaining: float) -> RenderableType:
    """What a terminal shows while it waits."""
    line = Text(f"{left.held} held, {seconds(remaining)} left", style="bold")
    return Group(line, holders_table(left.holders[:_LISTED]))


class _Progress:
    """A line whenever the number of holders changes, and on a terminal a live picture below."""

    def __init__(self) -> None:
        self.console = make_console()
        self.live = Live(console=self.console, transient=True, auto_refresh=False)
        self._told: int | None = None

    def show(self, left: Left, remaining: float) -> None:
        if left.held != self._told:
            self._told = left.held
            self.console.print(Text(f"{left.held} held" if left.held else "nobody holds a slot"))
        if self.console.is_terminal:
            self.live.update(view(left, remaining), refresh=True)


async def _drain(scheduler: AsyncLOCOScheduler, timeout: float, progress: _Progress) -> Left:
    """Pause, and look until nobody holds, somebody resumes, or the time is up."""
    deadline = time.monotonic() + timeout
    await scheduler.operations.pause()
    while True:
        left = Left.of(await scheduler.snapshot())
        remaining = deadline - time.monotonic()
        progress.show(left, max(remaining, 0.0))
        if not left.held or not left.paused or remaining <= 0:
            return left
        await asyncio.sleep(min(_LOOK, remaining))


@click.command("drain")
@resource_options
@click.option(
    "--timeout",
    type=Duration(),
    default="60s",
    show_default=True,
    callback=between(0, _LONGEST),
    help="How long to wait: 90, 90s, 5m, 2h.",
)
@click.option("--resume", is_flag=True, help="Grant again afterwards, drained or not.")
def command(redis: str | None, name: str | None, timeout: float, resume: bool) -> None:
    """Pause, and wait until all holders have finished. If they have not when the time is up, it
    lists them and ends by status 1. It stays paused unless --resume is given.

    Example:  loco-redis drain --timeout 5m
    """
    with existing(redis, name) as observer:
        progress = _Progress()

        async def drain(scheduler: AsyncLOCOScheduler) -> Left:
            with progress.live if progress.console.is_terminal else contextlib.nullcontext():
                try:
                    return await _drain(scheduler, timeout, progress)
                finally:
                    if resume:
                        await scheduler.operations.resume()

        hint = f"resume with `loco-redis resume -n {observer.name}`"
        try:
            left = act("drain", observer, drain)
        except click.exceptions.Exit:  # Ctrl-C
            click.echo("it grants again" if resume else f"it stays paused: {hint}", err=True)
            raise
        _conclude(observer, left, "it grants again" if resume else hint, timeout)


def _conclude(observer: Observer, left: Left, then: str, timeout: float) -> None:
    if not left.held:
        say(f"{observer.name} is drained: {then}")
    elif not left.paused:
        raise Broken(f"somebody else has resumed {observer.name} meanwhile: {left.held} held")
    else:
        make_console().print(holders_table(left.holders[:_LISTED]))
        raise Broken(
            f"{observer.name} is not drained after {seconds(timeout)}: "
            f"{left.held} still held; {then}"
        )
