"""`loco-redis replay`: a recorded trace through the scheduler; the loop that directs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.cli._console import make_console
from loco_redis.cli._errors import Broken, Refused
from loco_redis.cli._options import between, json_option, redis_option
from loco_redis.cli.play import _replay_report as reporting
from loco_redis.cli.play import _trace as traces
from loco_redis.cli.play._replay_report import Report
from loco_redis.cli.play._replay_worker import Planned
from loco_redis.cli.play._running import Stage, perform
from loco_redis.cli.play._workers import Message, Worker, direct, start_all, tell_all
from loco_redis.config import PRESETS


@click.command("replay")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=3,
    show_default=True,
    help="Worker processes; the agents are dealt to them in turn.",
)
@click.option(
    "--agents",
    type=click.IntRange(1, 1000),
    default=12,
    show_default=True,
    help="Agents that the requests are dealt to.",
)
@click.option(
    "--capacity",
    type=click.IntRange(1, 10_000),
    default=8,
    show_default=True,
    help="Slots.",
)
@click.option(
    "--speed",
    type=float,
    callback=between(0.001, 1_000_000),
    default=60.0,
    show_default=True,
    help="How many times faster than recorded.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first so many requests.")
@click.option(
    "--optimize-for",
    type=click.Choice(list(PRESETS)),
    default="balanced",
    show_default=True,
    help="What the scheduler prefers: alpha 0, 0.25 or 0.5.",
)
@redis_option("default: LOCO_REDIS_URL, REDIS_URL, else an embedded server")
@json_option
def command(as_json: bool, **options: Any) -> None:
    """Replay a recorded trace of LLM requests and show who waited how long.

    TRACE is a CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens, in order of
    time. Each request is submitted at its moment, however long the queue is by then.

    \b
    service  context / 2000 + generated * 0.045 seconds, divided by the speed
    weight   (context + generated) / 1000, at least 1: the estimate it is submitted with
    cost     (context + 4 * generated) / 1000: settled when it is done
    agent    dealt in turn so that agent k gets a share of 1/k (1, 1/2, 1/3 ...)

    So the public Azure code trace (8,819 requests of one hour) uses some 73 % of 8 slots, in bursts
    that need several times more. A minute at speed 60.

    Exit status: 0 all served, 1 a promise did not hold, 2 bad input or no Redis.

    Example:  loco-redis replay AzureLLMInferenceTrace_code.csv --capacity 8 --speed 60
    """
    report = _run(**options)
    if as_json:
        click.echo(json.dumps(reporting.to_json(report)))
    else:
        make_console().print(reporting.render(report))
    if report.failures:
        raise Broken(f"a promise did not hold: {'; '.join(report.failures)}")


def _run(
    trace: Path,
    workers: int,
    agents: int,
    capacity: int,
    speed: float,
    limit: int | None,
    optimize_for: str,
    redis: str | None,
) -> Report:
    if agents < workers:
        raise click.UsageError(f"--agents {agents} is less than --workers {workers}: give more")
    try:
        recorded = traces.read(trace, limit)
    except (traces.TraceError, OSError) as error:
        raise Refused(str(error)) from error
    plan = _plan(recorded, agents, speed)
    report = Report([p.agent for p in plan], [p.cost for p in plan], capacity, speed)
    replaying = partial(_replay, plan=plan, report=report, count=workers, optimize_for=optimize_for)
    perform(redis, "replay", replaying)
    return report


def _plan(recorded: Sequence[traces.Recorded], agents: int, speed: float) -> list[Planned]:
    digits = len(str(agents))
    owners = traces.deal(len(recorded), agents)
    return [
        Planned(
            number,
            request.at / speed,
            f"agent-{owner + 1:0{digits}}",
            request.weight,
            request.service / speed,
            request.cost,
        )
        for number, (request, owner) in enumerate(zip(recorded, owners, strict=True))
    ]


async def _replay(
    stage: Stage, plan: Sequence[Planned], report: Report, count: int, optimize_for: str
) -> None:
    resource = SharedResource(stage.name, capacity=report.capacity)
    async with AsyncLOCOScheduler(
        [], resource, redis=stage.url, optimize_for=optimize_for, backend_timeout=5.0
    ) as scheduler:
        workers = await start_all(count, "loco_redis.cli.play._replay_worker", stage.url)
        with _progress(len(plan)) as advance:

            def hear(worker: Worker, message: Message) -> None:
                report.hear(message)
                advance()

            await direct(workers, hear, _until_served(workers, plan, stage.name))
        report.peak = (await scheduler.snapshot()).peak


async def _until_served(workers: Sequence[Worker], plan: Sequence[Planned], name: str) -> None:
    """Hand each worker the requests of its agents, let all go at once, wait until they are done."""
    shares: list[list[Planned]] = [[] for _ in workers]
    owners = {agent: place for place, agent in enumerate(sorted({p.agent for p in plan}))}
    for request in plan:
        shares[owners[request.agent] % len(workers)].append(request)
    for worker, share in zip(workers, shares, strict=True):
        await worker.tell({"name": name, "requests": len(share)}, *share)
    await tell_all(workers, "go")
    await asyncio.gather(*(worker.silent.wait() for worker in workers))


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, to be called for each step; on a terminal only, and gone at the end."""
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda: None
        return
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress("served", *columns, console=console, transient=True) as progress:
        yield partial(progress.advance, progress.add_task("", total=total))
