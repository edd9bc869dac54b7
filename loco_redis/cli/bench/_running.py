"""One benchmark from its plan to its report: a server, hosts, a conductor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from loco_redis._endpoint import FALLBACK_URL_VARIABLE, Endpoint, resolve
from loco_redis._server import EmbeddedServer
from loco_redis._shared_server import URL_VARIABLE
from loco_redis.cli._errors import Refused
from loco_redis.cli.bench._arrivals import Step, fitted
from loco_redis.cli.bench._conductor import Conductor, summary
from loco_redis.cli.bench._figures import BenchPlan, BenchReport, RunFigures
from loco_redis.cli.bench._meeting import Meeting
from loco_redis.cli.bench._progress import Progress
from loco_redis.cli.play import _trace as traces
from loco_redis.cli.play._running import Stage, perform
from loco_redis.cli.play._workers import Message, Worker, direct, start_all

_HOST = "loco_redis.cli.bench._host_process"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a benchmark is carried out.

    Attributes:
        redis: URL; None for the environment's, or a server of its own.
        joined: the hosts come by themselves.
        patience: seconds to wait for them.
        trace: to be fitted to the plan, for the profile of that name.
    """

    redis: str | None
    joined: bool
    patience: float
    trace: Path | None


def run(plan: BenchPlan, terms: Terms, progress: Progress) -> BenchReport:
    """Carry it out.

    Raises:
        Refused: the trace cannot be read, no such Redis, a run of that name is under way.
        Broken: a worker failed, or a host.
        click.exceptions.Exit: 130 after Ctrl-C, 143 after SIGTERM.
    """
    steps = None if terms.trace is None else _steps(terms.trace, plan)
    began = datetime.now().astimezone().isoformat(timespec="seconds")
    with _server(terms.redis) as url:
        work = partial(_conducted, plan=plan, terms=terms, progress=progress, steps=steps)
        runs, failures = perform(url, "bench", work)
        where = Endpoint.parse(url).redacted
    for each in runs:
        failures += [f"run {each.run}: {line}" for line in each.verdict.violations]
    return BenchReport(
        ok=not failures,
        plan=plan,
        began=began,
        redis=where,
        machine=_machine(),
        python=platform.python_version(),
        redis_py=version("redis"),
        runs=tuple(runs),
        summary=summary(runs),
        failures=tuple(failures),
    )


def _steps(path: Path, plan: BenchPlan) -> list[Step]:
    try:
        return fitted(traces.read(path), plan)
    except (ValueError, OSError) as error:
        raise Refused(str(error)) from error


@contextlib.contextmanager
def _server(redis: str | None) -> Iterator[str]:
    """The URL that is meant; without one, that of a server on TCP, as hosts would use it."""
    url = redis or os.environ.get(URL_VARIABLE) or os.environ.get(FALLBACK_URL_VARIABLE)
    if url:
        yield url
        return
    with EmbeddedServer.start(tcp=True) as server:
        resolve(server.url).load_library()
        yield server.url


async def _conducted(
    stage: Stage, plan: BenchPlan, terms: Terms, progress: Progress, steps: list[Step] | None
) -> tuple[list[RunFigures], list[str]]:
    await asyncio.to_thread(_begin, stage.endpoint, plan, steps)
    with progress:
        conductor = Conductor(stage.endpoint, plan, progress)
        conducting = conductor.conduct(terms.patience)
        if terms.joined:
            progress.note(f"on each host: loco-redis bench worker --run {plan.id}")
            runs = await conducting
        else:
            hosts = await start_all(plan.hosts, _HOST, stage.url)
            for number, host in enumerate(hosts, start=1):
                await host.tell({"run": plan.id, "name": f"host-{number}"})
            runs = await direct(hosts, _ignore, conducting)
    return runs, conductor.failures


def _ignore(worker: Worker, message: Message) -> None:
    """Hosts are heard through Redis, like those of other machines."""


def _begin(endpoint: Endpoint, plan: BenchPlan, steps: list[Step] | None) -> None:
    with endpoint.sync_client() as client:
        if not Meeting(client, plan.id).begin(plan, steps):
            raise Refused(f"a run {plan.id!r} is under way here: give another --run, or wait")


def _machine() -> str:
    return f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}"
