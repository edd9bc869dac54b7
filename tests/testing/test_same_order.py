"""What SyncTestScheduler plays is what a server does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.testing import MockAgent, SyncTestScheduler, mock_resource, ops
from loco_redis.testing.model import Outcome, step
from loco_redis.testing.model_client import ModelClient
from tests.lua.lockstep import Lockstep, comparable
from tests.servers import Server

NAMES = ("webhook", "batch", "é", "team/a")
PRESETS = ("latency", "balanced", "throughput")


def agents(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[list[MockAgent]]:
    """One to four agents with a few tasks each."""
    one = st.builds(
        MockAgent,
        agent_id=st.sampled_from(NAMES),
        tasks=st.integers(1, 4),
        weight=st.sampled_from((1.0, 1.5, 2.0, 30.0)),
        **more,
    )
    return st.lists(one, min_size=1, max_size=4, unique_by=lambda agent: agent.agent_id)


async def order_on(url: str, plan: list[MockAgent], preset: str) -> list[str]:
    """Who gets the one slot of a real scheduler, all tasks being queued before the first grant."""
    order: list[str] = []

    async def work(scheduler: AsyncLOCOScheduler, agent: MockAgent) -> None:
        async with scheduler.acquire(agent.agent_id, weight=agent.weight, timeout=30):
            order.append(agent.agent_id)

    resource = SharedResource("test", 1)
    async with AsyncLOCOScheduler([], resource, redis=url, optimize_for=preset) as scheduler:
        await scheduler.reconfigure(paused=True)
        tasks = []
        for agent in plan:
            for _ in range(agent.tasks):
                tasks.append(asyncio.create_task(work(scheduler, agent)))
        while len((await scheduler.snapshot()).waiters) < len(tasks):
            pass  # each turn asks the server
        await scheduler.reconfigure(paused=False)
        await asyncio.gather(*tasks)
    return order


def test_a_real_scheduler_serves_in_the_same_order(server: Server) -> None:
    """The same tasks through AsyncLOCOScheduler and a server with one slot."""

    @settings(max_examples=60, deadline=None)
    @given(plan=agents(), preset=st.sampled_from(PRESETS))
    def same_order(plan: list[MockAgent], preset: str) -> None:
        server.client.flushall()
        expected = SyncTestScheduler(plan, optimize_for=preset).run().order
        assert asyncio.run(order_on(server.url, plan, preset)) == expected

    same_order()


@contextmanager
def scripts_beside(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ops.Op]]:
    """Whatever a SyncTestScheduler does runs as a script, too, and both must agree on the reply,
    the hints and the whole state; gives the operations."""
    benches: list[Lockstep] = []
    seen: list[ops.Op] = []

    def decide(client: ModelClient, op: ops.Op, now: int) -> Outcome:
        if isinstance(op, ops.Open):
            while benches:
                benches.pop().close()
            server.client.flushall()
            benches.append(Lockstep(server.client))
        bench = benches[-1]
        bench.state = client.state
        bench.set_clock(now)
        expected = step(client.state, op, now)
        assert comparable(bench.run(op)) == comparable(expected.reply), op
        assert tuple(bench.hints.take()) == expected.hints, op
        bench.compare()
        seen.append(op)
        return expected

    with monkeypatch.context() as patch:
        patch.setattr(ModelClient, "_decide", decide)
        yield seen
    for bench in benches:
        bench.close()


def test_every_step_is_what_the_scripts_do(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several slots, late arrivals, caps, rates and alpha that tunes itself: each call of a run is
    made to a server as well."""
    plans = agents(
        duration=st.sampled_from((0.0, 0.5, 1.0, 2.5)),
        at=st.sampled_from((0.0, 1.0, 1.5)),
        every=st.sampled_from((0.0, 0.5)),
        tokens=st.sampled_from((None, 50)),
        max_concurrency=st.sampled_from((None, None, 1, 2)),
    )
    resources = st.builds(
        mock_resource,
        st.integers(1, 4),
        rpm=st.sampled_from((None, 60)),
        tpm=st.sampled_from((None, 6000)),
    )

    with scripts_beside(server, monkeypatch) as seen:

        @settings(max_examples=40, deadline=None)
        @given(plans, resources, st.sampled_from(PRESETS), st.booleans(), st.integers(0, 9))
        def same(
            plan: list[MockAgent], shared: SharedResource, preset: str, tuned: bool, seed: int
        ) -> None:
            scheduler = SyncTestScheduler(
                plan, shared, optimize_for=preset, auto_tune=tuned, seed=seed
            )
            scheduler.run(until=1.0)
            scheduler.submit("late", tasks=2, weight=7.0)
            result = scheduler.run()
            assert len(result.grants) == sum(agent.tasks for agent in plan) + 2
            assert not result.waiting

        same()
    assert {type(op) for op in seen} >= {
        ops.Open, ops.Govern, ops.Reconfigure, ops.Acquire, ops.Release, ops.Reap
    }  # fmt: skip
