"""`loco-redis status`: one resource at a glance, and a probe."""

from __future__ import annotations

import click

from loco_redis.cli._console import make_console
from loco_redis.cli._options import between, json_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._target import open_target
from loco_redis.cli.look._status_report import Limits, StatusReport, fetch
from loco_redis.cli.look._status_view import line, view


@documented(StatusReport)
@click.command("status")
@resource_options
@click.option(
    "-i",
    "--interval",
    type=float,
    default=0.1,
    show_default=True,
    callback=between(0, 60),
    help="Seconds between two looks, for the throughput; 0: none.",
)
@click.option("--check", is_flag=True, help="One line; exit status 1 if something is wrong.")
@click.option(
    "--max-wait",
    type=float,
    default=60.0,
    show_default=True,
    callback=between(0, 1e9),
    help="Wrong: a request has waited for more seconds.",
)
@click.option("--max-waiters", type=click.IntRange(0), help="Wrong: more requests wait.")
@click.option("--max-dead", type=click.IntRange(0), help="Wrong: more durable tasks are dead.")
@json_option
def command(
    redis: str | None,
    name: str | None,
    interval: float,
    check: bool,
    max_wait: float,
    max_waiters: int | None,
    max_dead: int | None,
    as_json: bool,
) -> None:
    """Show one resource at a glance: slots, who holds and who waits, rates, totals.

    With --check, for probes: wrong is also that it is paused, or that work is left and no process
    is alive.

    Example:  loco-redis status --check --max-wait 60 --max-waiters 80
    """
    limits = Limits(max_wait, max_waiters, max_dead)
    with open_target(redis, name) as observer:
        report = fetch(observer, 0.0 if check else interval, limits)
    if check and not as_json:
        make_console().print(line(report), soft_wrap=True)
    else:
        emit(report, as_json, view)
    if check and report.problems:
        raise click.exceptions.Exit(1)
