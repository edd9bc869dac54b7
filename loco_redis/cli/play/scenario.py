"""`loco-redis scenario`: a workload with a story through worker processes; the loop that directs
it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.cli._canvas import Canvas, canvas_for
from loco_redis.cli._errors import Broken, Refused
from loco_redis.cli._options import between, json_option, redis_option
from loco_redis.cli._report import documented, emit, to_json
from loco_redis.cli.play import _scenario_plot as plot
from loco_redis.cli.play import _scenario_view as view
from loco_redis.cli.play._running import Stage, perform
from loco_redis.cli.play._scenario_report import Run, ScenarioReport
from loco_redis.cli.play._scenario_schedule import ROOT, SCENARIOS, Job, schedule
from loco_redis.cli.play._workers import Message, Worker, direct, start_all
from loco_redis.config import PRESETS

_REFRESH = 0.1
_RUN_UP = 0.05  # seconds for the word to start to reach all workers


@documented(ScenarioReport)
@click.command("scenario")
@click.argument("name", type=click.Choice(list(SCENARIOS)), metavar="|".join(SCENARIOS))
@click.option(
    "--agents",
    type=click.IntRange(1, 1000),
    help="Agents in all. [default: 8; fairness 10; mdash_security 120]",
)
@click.option(
    "--optimize-for",
    type=click.Choice(list(PRESETS)),
    default="balanced",
    show_default=True,
    help="What the scheduler prefers: alpha 0, 0.25 or 0.5.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Worker processes; the requests are dealt to them in turn.",
)
@click.option(
    "--capacity",
    type=click.IntRange(1, 100),
    help="Slots; the load grows with them. [default: 4; mdash_security 6]",
)
@click.option(
    "--seconds",
    type=float,
    callback=between(1, 3600),
    default=10.0,
    show_default=True,
    help="For how long requests come; a body takes about a hundredth of it.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of all that is drawn.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Write the picture there: FILE.png, FILE.svg, or a folder, which gets the JSON, too.",
)
@redis_option("default: an embedded server of its own")
@json_option
def command(name: str, out: Path | None, redis: str | None, as_json: bool, **options: Any) -> None:
    """Play a workload through worker processes, and show who waited how long.

    \b
    burst           small agents go on steadily; one agent asks 40 times at once
    fairness        a whale asks for more than all minnows together, beyond the capacity
    webhook_spike   batch agents keep the slots busy; then a spike of webhooks comes
    mdash_security  a review by 120 agents: triage brings about scans, a finding is verified,
                    what is confirmed is reported; weights 1, 2, 5 and 3

    Which requests come when, and how long their bodies take, is drawn from the seed; what they
    wait is measured. Beside it stands what first come, first served would have made of the same
    requests, computed. The picture needs the extra `bench`.

    Exit status: 0 all served, 1 a promise did not hold or there is no picture, 2 bad input or no
    Redis.

    Example:  loco-redis scenario webhook_spike --optimize-for throughput --out spike.png
    """
    path = None if out is None else _place(out, name)
    run = _run(name, **options)
    canvas = canvas_for(Console(stderr=True), as_json)
    perform(redis or "embedded://", "scenario", partial(_play, run=run, canvas=canvas))
    report = run.report()
    emit(report, as_json, partial(view.render, run=run))
    if path is not None:
        _keep(run, report, path, out != path)
        if not as_json:
            click.echo(f"picture: {path}")
    if report.failures:
        raise Broken(f"a promise did not hold: {'; '.join(report.failures)}")


def _place(out: Path, name: str) -> Path:
    """Where the picture goes; its folder is made before anything runs."""
    is_file = not out.is_dir() and out.suffix.lower() in plot.SUFFIXES
    if not is_file and out.suffix and not out.is_dir():
        raise click.BadParameter(
            f"{out} is no picture that can be drawn: end it in .png or .svg, or give a folder",
            param_hint="--out",
        )
    path = out if is_file else out / f"{name}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as there:
            is_new = there.tell() == 0
        if is_new:
            path.unlink()  # so that a run which is interrupted leaves no empty file
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}; give another --out") from error
    return path


def _run(
    name: str, agents: int | None, capacity: int | None, seconds: float, seed: int, **rest: Any
) -> Run:
    scenario = SCENARIOS[name]
    agents, capacity = agents or scenario.agents, capacity or scenario.capacity
    if agents < scenario.least_agents:
        least = scenario.least_agents
        raise click.UsageError(f"--agents {agents} is too few for {name}: give {least} or more")
    jobs = schedule(name, agents, capacity, seconds, seed)
    return Run(name, jobs, agents, capacity=capacity, seconds=seconds, seed=seed, **rest)


def _keep(run: Run, report: ScenarioReport, path: Path, is_folder: bool) -> None:
    try:
        if is_folder:
            path.with_suffix(".json").write_text(to_json(report) + "\n", encoding="utf-8")
        plot.draw(run, path)
    except ModuleNotFoundError as missing:
        raise Broken(f"there is no picture: {missing}") from missing
    except OSError as error:
        raise Broken(f"cannot write {path}: {error.strerror}") from error


async def _play(stage: Stage, run: Run, canvas: Canvas) -> None:
    resource = SharedResource(stage.name, capacity=run.capacity)
    async with AsyncLOCOScheduler(
        [], resource, redis=stage.url, optimize_for=run.optimize_for, backend_timeout=5.0
    ) as scheduler:
        module = "loco_redis.cli.play._scenario_worker"
        workers = await start_all(run.processes, module, stage.url)
        with canvas:
            show = _Show(run, canvas)
            await direct(workers, show.hear, _until_served(workers, run, stage.name))
        last = await scheduler.snapshot()
        run.peak, run.left = last.peak, last.held + last.waiting


class _Show:
    """Hears what is served; draws it, but not each time."""

    def __init__(self, run: Run, canvas: Canvas) -> None:
        self._run, self._canvas, self._next = run, canvas, 0.0

    def hear(self, worker: Worker, message: Message) -> None:
        self._run.hear(message)
        if (now := time.monotonic()) >= self._next:
            self._next = now + _REFRESH
            self._canvas.draw(partial(view.progress, self._run))


async def _until_served(workers: Sequence[Worker], run: Run, name: str) -> None:
    """Hand out the requests, name one moment at which all start, wait until they are done."""
    for worker, share in zip(workers, _deal(run.jobs, len(workers)), strict=True):
        await worker.tell({"name": name, "requests": len(share)}, *share)
    await asyncio.gather(*(worker.ready.wait() for worker in workers))
    run.start = time.monotonic() + _RUN_UP
    await asyncio.gather(*(worker.tell(run.start) for worker in workers))
    await asyncio.gather(*(worker.silent.wait() for worker in workers))


def _deal(jobs: Sequence[Job], count: int) -> list[list[Job]]:
    """In turn; what an end brings about goes where its parent is, which comes before it."""
    shares: list[list[Job]] = [[] for _ in range(count)]
    owners: list[int] = []
    for job in jobs:
        owners.append(job.number % count if job.after == ROOT else owners[job.after])
        shares[owners[-1]].append(job)
    return shares
