"""`loco-redis resume`: grant again after a pause."""

from __future__ import annotations

import click

from loco_redis.cli._acting import act, existing, say
from loco_redis.cli._options import resource_options


@click.command("resume")
@resource_options
def command(redis: str | None, name: str | None) -> None:
    """Grant again after a pause or a drain. Free slots go out at once.

    Example:  loco-redis resume -n llm_api
    """
    with existing(redis, name) as observer:
        was_paused = observer.snapshot().paused
        if was_paused:
            act("resume", observer, lambda scheduler: scheduler.operations.resume())
        now = observer.snapshot()
        state = "grants again" if was_paused else "was not paused"
        say(f"{now.name} {state}: {now.held} of {now.capacity} held, {now.waiting} waiting")
