"""`loco-redis why`: why an agent waits, or does not."""

from __future__ import annotations

import click

from loco_redis import _validate as validate
from loco_redis.cli._options import json_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._target import open_target
from loco_redis.cli.look._why_report import WhyReport, fetch
from loco_redis.cli.look._why_view import view


def _checked(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        validate.agent_id(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


@documented(WhyReport)
@click.command("why")
@click.argument("agent", callback=_checked)
@resource_options
@click.option("--all", "everyone", is_flag=True, help="The whole ranking, too.")
@json_option
def command(agent: str, redis: str | None, name: str | None, everyone: bool, as_json: bool) -> None:
    """Say why AGENT waits: its score and rank, what blocks it, who goes first, who holds the slots.

    L(i) = alpha * Q / max Q + (1 - alpha) * D / max D, times trust. Q is the weight of the agent's
    queued tasks, D the age of the oldest in ticks (a tick is one release). The greatest L(i) among
    those who wait is granted the next slot.

    Example:  loco-redis why batch
    """
    with open_target(redis, name) as observer:
        emit(fetch(observer, agent, everyone), as_json, view)
