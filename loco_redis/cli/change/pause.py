"""`loco-redis pause`: grant nothing until somebody resumes."""

from __future__ import annotations

import click

from loco_redis.cli._acting import act, existing, say
from loco_redis.cli._options import resource_options


@click.command("pause")
@resource_options
def command(redis: str | None, name: str | None) -> None:
    """Grant no more slots. Who holds one goes on, who waits keeps place and age.

    Example:  loco-redis pause -n llm_api
    """
    with existing(redis, name) as observer:
        was_paused = observer.snapshot().paused
        if not was_paused:
            act("pause", observer, lambda scheduler: scheduler.operations.pause())
        now = observer.snapshot()
        say(
            f"{now.name} {'was paused already' if was_paused else 'is paused'}: {now.held} held, "
            f"{now.waiting} waiting; resume with `loco-redis resume -n {now.name}`"
        )
