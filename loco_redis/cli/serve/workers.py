"""`loco-redis workers`: as many local worker processes as the backlog needs."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from datetime import datetime
from functools import partial

import click

from loco_redis.cli._acting import existing
from loco_redis.cli._errors import Broken, Refused
from loco_redis.cli._options import Duration, _checked_name, between, redis_option
from loco_redis.cli._report import SCHEMA
from loco_redis.cli.serve._child import Work
from loco_redis.cli.serve._worker_fleet import Bounds, WorkerFleet
from loco_redis.cli.serve._worker_lines import line
from loco_redis.observe import Observer
from loco_redis.orchestration.scaling import MOST_WORKERS

_LISTED = 50  # holders of a look: enough to tell tasks from requests
_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"


@click.command("workers")
@click.argument("handlers", metavar="MODULE:HANDLERS")
@redis_option()
@click.option(
    "-n",
    "--name",
    "--resource",
    "name",
    metavar="RESOURCE",
    callback=_checked_name,
    help="Which resource; may be left out where the server has only one.",
)
@click.option(
    "--min",
    "least",
    type=click.IntRange(0, MOST_WORKERS),
    default=2,
    show_default=True,
    help="Never fewer processes than that.",
)
@click.option(
    "--max",
    "most",
    type=click.IntRange(1, MOST_WORKERS),
    default=10,
    show_default=True,
    help="Never more.",
)
@click.option(
    "--factor",
    type=float,
    callback=between(1, 1000),
    default=1.5,
    show_default=True,
    help="A look makes at most so many times as many of them, or one more.",
)
@click.option(
    "--slo",
    type=Duration(),
    callback=between(0.001, 2_592_000),
    default="30s",
    show_default=True,
    help="In what time they should work off what is queued.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=8,
    show_default=True,
    help="Tasks that each serves at once.",
)
@click.option(
    "--every",
    type=Duration(),
    callback=between(0.05, 3600),
    default="2s",
    show_default=True,
    help="Time between two looks at the resource.",
)
@click.option(
    "--cool-down",
    type=Duration(),
    callback=between(0, 86_400),
    default="30s",
    show_default=True,
    help="One is ended when fewer have been enough for that long; then the next.",
)
@click.option(
    "--grace",
    type=Duration(),
    callback=between(0, 86_400),
    default="30s",
    show_default=True,
    help="Time for the tasks at hand when one is ended; then they go back to the queue.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each line.")
def command(
    handlers: str,
    redis: str | None,
    name: str | None,
    least: int,
    most: int,
    factor: float,
    slo: float,
    concurrency: int,
    every: float,
    cool_down: float,
    grace: float,
    as_json: bool,
) -> None:
    """Run worker processes that serve durable tasks, and keep as many as the backlog needs.

    Each imports MODULE from where this command is run. HANDLERS is a mapping of agents (or
    patterns, such as "*") to functions that get the lease, as for `scheduler.worker`; or a function
    that gives one. It looks at the resource every two seconds. A process is ended by SIGTERM: it
    takes no more tasks and finishes those at hand. One that dies is replaced. Ctrl-C and SIGTERM
    end them all like that; a second time their tasks go back to the queue at once.

    Exit status 1: one had to be killed.

    Example:  loco-redis workers -n llm_api --max 6 --slo 1m jobs:handlers
    """
    if not re.fullmatch(f"{_NAME}:{_NAME}", handlers):
        raise Refused(f"{handlers!r}: give MODULE:HANDLERS, such as jobs:handlers")
    if least > most:
        raise Refused(f"--min {least} is more than --max {most}")
    bounds = Bounds(least, most, factor, slo, every, cool_down)
    with existing(redis, name) as observer:
        link = observer.link
        work = Work(handlers, observer.name, link.endpoint.url, concurrency, grace)
        killed = asyncio.run(_run(work, bounds, observer, as_json))
    if killed:
        raise Broken(f"killed, as they did not end within {grace:g} s: {killed} workers")


async def _run(work: Work, bounds: Bounds, observer: Observer, as_json: bool) -> int:
    """Until a signal; returns how many workers had to be killed."""

    def tell(event: str, **facts: object) -> None:
        now = datetime.now().astimezone()
        told = {"schema": SCHEMA, "event": event, "at": now.isoformat(), **facts}
        try:
            click.echo(json.dumps(told) if as_json else f"{now:%H:%M:%S}  {line(event, facts)}")
        except BrokenPipeError:  # nobody reads it any more
            fleet.stop()

    fleet = WorkerFleet(work, bounds, partial(observer.snapshot, _LISTED), tell)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, fleet.stop)
    where = observer.link.where
    tell("serving", handlers=work.handlers, resource=work.name, where=where)
    try:
        await fleet.run()
    except OSError as error:
        raise Broken(f"no process can be started: {error}") from error
    return fleet.killed
