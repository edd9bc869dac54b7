"""A workload that runs for ever: `python -m loco_redis.cli.play._load`, the worker of
docker-compose.yml. Any number of them share the slots of one resource, and use every part that has
a panel in the dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
from dataclasses import dataclass

import click

from loco_redis import (
    BudgetPolicy,
    Lease,
    LocoRedisError,
    MultiTenantScheduler,
    SharedResource,
    SLOBudget,
    Task,
    TrustScorer,
    enable_prometheus,
)

Range = tuple[float, float]

_TENANT, _CEILING = "acme", 50_000.0
_FAILS, _THROTTLED = 0.03, 0.01  # shares of the work
_PAUSE = 1.0  # seconds after an error

_log = logging.getLogger("loco_redis.load")


@dataclass(frozen=True)
class Stream:
    """The work of one agent in one worker; times are seconds. `patience` None waits for ever;
    `durable` queues its tasks before it serves one."""

    agent: str
    team: str
    model: str
    workflow: str
    weight: Range
    takes: Range
    pause: Range
    burst: int = 1
    patience: float | None = None
    durable: bool = False


STREAMS = (
    Stream("webhook", "core", "small", "callbacks", (1, 1), (0.05, 0.15), (0.5, 1.5), burst=3),
    Stream("chat", "product", "large", "support", (1, 3), (0.2, 0.5), (0.1, 0.5)),
    Stream("analyst", "research", "large", "reports", (3, 6), (0.4, 0.9), (0.1, 0.5)),
    Stream("probe", "core", "small", "checks", (1, 1), (0.05, 0.1), (0.3, 0.9), patience=0.05),
    Stream("embed", "search", "tiny", "index", (1, 2), (0.1, 0.3), (0.5, 1.0), durable=True),
)
TENANT_STREAM = Stream("bot", "partner", "small", "support", (1, 2), (0.1, 0.4), (0.2, 0.8))


class Load:
    """Plays all streams until it is cancelled."""

    def __init__(self, tenants: MultiTenantScheduler) -> None:
        self._tenants, self._scheduler = tenants, tenants.scheduler
        self._random = random.Random()

    async def play(self) -> None:
        await self._tenants.register_tenant(_TENANT, cost_ceiling=_CEILING)
        async with asyncio.TaskGroup() as group:
            for stream in (*STREAMS, TENANT_STREAM):
                group.create_task(self._play(stream))

    async def _play(self, stream: Stream) -> None:
        while True:
            async with asyncio.TaskGroup() as burst:
                for _ in range(stream.burst):
                    burst.create_task(self._once(stream))
            await asyncio.sleep(self._random.uniform(*stream.pause))

    async def _once(self, stream: Stream) -> None:
        try:
            await self._serve(stream)
        except TimeoutError:
            pass  # its patience was short
        except (LocoRedisError, ConnectionError) as error:
            # Redis may be restarted, an operator may take a slot back: the load goes on.
            _log.warning("%s: %s", stream.agent, error)
            await asyncio.sleep(_PAUSE)

    async def _serve(self, stream: Stream) -> None:
        task = Task(
            weight=round(self._random.uniform(*stream.weight), 1),
            team=stream.team,
            model=stream.model,
            workflow=stream.workflow,
        )
        if stream is TENANT_STREAM:
            async with self._tenants.acquire(_TENANT, stream.agent, task) as lease:
                await self._work(stream, lease)
        elif stream.durable:
            await self._scheduler.submit_task(stream.agent, task)
            async with self._scheduler.acquire(stream.agent) as lease:
                await self._work(stream, lease)
        else:
            async with self._scheduler.acquire(
                stream.agent, task, timeout=stream.patience
            ) as lease:
                await self._work(stream, lease)

    async def _work(self, stream: Stream, lease: Lease) -> None:
        await asyncio.sleep(self._random.uniform(*stream.takes))
        if self._random.random() < _THROTTLED:
            await lease.throttled(0.2)
        cost = round(lease.task.weight * self._random.uniform(0.8, 1.2), 3)
        await lease.settle(cost)
        outcome = "failure" if self._random.random() < _FAILS else "success"
        figures = self._scheduler.metrics
        await figures.record_actual_tokens(lease.agent_id, stream.model, round(1000 * cost))
        await figures.outcomes.record(lease.agent_id, lease.task, outcome, cost=cost)


async def run(redis: str | None, name: str, capacity: int) -> None:
    """Until SIGTERM or Ctrl-C: then everything held is given back."""
    tenants = MultiTenantScheduler(
        SharedResource(name, capacity=capacity),
        redis=redis,
        budget=BudgetPolicy(on_exceeded="downgrade", period=3600.0, limits={"analyst": 2000.0}),
        trust_scorer=TrustScorer(),
        slo=SLOBudget(target_wait=20.0),
        adaptive_capacity=True,
        events=1000,
    )
    loop = asyncio.get_running_loop()
    async with tenants:
        playing = asyncio.create_task(Load(tenants).play(), name="load")
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, playing.cancel)
        click.echo(f"works on {capacity} slots of {name} at {tenants.scheduler.url}")
        with contextlib.suppress(asyncio.CancelledError):
            await playing


@click.command()
@click.option("--redis", metavar="URL", help="Default: LOCO_REDIS_URL, then REDIS_URL.")
@click.option("--name", default="llm_api", show_default=True, help="The resource.")
@click.option("--capacity", type=click.IntRange(1), default=3, show_default=True)
@click.option("--metrics-port", type=int, help="Serve this worker's own figures there.")
@click.option("--metrics-addr", default="127.0.0.1", show_default=True)
def main(
    redis: str | None, name: str, capacity: int, metrics_port: int | None, metrics_addr: str
) -> None:
    """Make work for a resource, for ever."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if metrics_port is not None:
        enable_prometheus(metrics_port, metrics_addr, fleet=False)
    asyncio.run(run(redis, name, capacity))


if __name__ == "__main__":
    main(prog_name="load")
