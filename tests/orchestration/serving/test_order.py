"""Which task a server is given: L(i) over all agents with tasks, within what governs them."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

import pytest

from loco_redis import Agent, SharedResource
from loco_redis.errors import AcquireTimeoutError, NoTaskError, ReentrantAcquireError
from loco_redis.governance import MultiTenantScheduler
from tests.orchestration.serving.backlog import apart, serve_next
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:alpha=.* starves light agents")


@dataclass
class Waiting:
    """A task of the plain formula."""

    agent: str
    weight: int
    tick: int
    seq: int


def first_by_formula(tasks: list[Waiting], alpha: float, tick: int) -> Waiting:
    """The oldest task of the agent with the largest L(i), ties to the one submitted first."""
    queues: dict[str, list[Waiting]] = {}
    for task in tasks:
        queues.setdefault(task.agent, []).append(task)
    depths = {agent: sum(task.weight for task in queue) for agent, queue in queues.items()}
    max_age = max(tick - queue[0].tick for queue in queues.values())

    def score(agent: str) -> tuple[float, int]:
        head, b = queues[agent][0], (1 - alpha) / max_age if max_age else 0.0
        return alpha / max(depths.values()) * depths[agent] + b * (tick - head.tick), -head.seq

    return queues[max(queues, key=score)][0]


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.7, 1.0])
async def test_the_order_is_that_of_the_formula(any_schedulers: Schedulers, alpha: float) -> None:
    """Over many agents, weights and ages, with tasks that come between: always the exact argmax."""
    draw, tasks, tick = random.Random(7), dict[str, Waiting](), 0
    async with any_schedulers(1, alpha=alpha) as scheduler:
        for round_ in range(60):
            for _ in range(draw.choice((0, 1, 4)) if round_ else 12):
                agent, weight = f"agent-{draw.randrange(9)}", draw.choice((1, 1, 2, 5))
                task_id = await scheduler.submit_task(agent, weight=weight)
                tasks[task_id] = Waiting(agent, weight, tick, len(tasks) + 1000 * round_)
            if not tasks:
                continue
            expected = first_by_formula([*tasks.values()], alpha, tick)
            async with scheduler.serve(timeout=0) as lease:
                served = tasks.pop(lease.task.task_id or "")
                assert (lease.agent_id, served) == (expected.agent, expected)
                assert lease.waited_ticks == tick - served.tick
            tick += 1
        for _ in range(len(tasks)):
            await serve_next(scheduler)


async def test_requests_of_agents_and_servers_compete(schedulers: Schedulers) -> None:
    """An agent's own request and the backlog of others get the next slot by the same order."""
    async with schedulers(1, alpha=1.0) as scheduler:
        served: list[str] = []

        async def ask(agent: str, weight: float) -> None:
            async with scheduler.acquire(agent, weight=weight):
                served.append(agent)

        async def serve() -> None:
            async with scheduler.serve() as lease:
                served.append(lease.agent_id)

        async with scheduler.acquire("holder"):
            for agent, weight in (("b", 4), ("d", 2)):
                await scheduler.submit_task(agent, weight=weight)
            asked = [apart(ask("a", 5)), apart(ask("c", 3)), apart(serve()), apart(serve())]
            await eventually(lambda: schedulers.waiting() == 4)
        await asyncio.gather(*asked)
    assert served == ["a", "b", "c", "d"]


async def test_a_request_of_the_agent_itself_comes_first(schedulers: Schedulers) -> None:
    """Who asks for this agent's tasks only is given one before a server of any."""
    async with schedulers(1) as scheduler:
        async with scheduler.acquire("holder"):
            task_id = await scheduler.submit_task("a")
            server = apart(serve_next(scheduler))
            await eventually(lambda: schedulers.waiting() == 1)
            pulls = apart(_pull(schedulers, "a"))
            await eventually(lambda: schedulers.waiting() == 2)
        assert await pulls == task_id
        await scheduler.submit_task("b")
        assert await server


async def test_idle_servers_are_served_in_turn(schedulers: Schedulers) -> None:
    """A task goes to the one that has waited longest, wherever it is; its submit grants it."""
    async with schedulers(4) as one, schedulers(None) as other:
        turns = []
        for number, scheduler in enumerate((one, other, one)):
            turns.append(apart(serve_next(scheduler, number)))
            await eventually(lambda least=number + 1: schedulers.waiting() == least)
        assert (await one.snapshot()).serving == 3
        assert (await one.snapshot()).waiting == 0
        tasks = [await other.submit_task("a", result_ttl=60) for _ in turns]
        assert [await turn for turn in turns] == tasks
        assert [await one.result(task, timeout=5) for task in tasks] == [0, 1, 2]


async def test_nothing_to_do(schedulers: Schedulers) -> None:
    """Without a task, and without a slot, it is NoTaskError, a kind of AcquireTimeoutError; that
    leaves nothing, and counts as no refusal."""
    async with schedulers(1) as scheduler:
        for timeout in (0, 0.05):
            with pytest.raises(NoTaskError, match="no task of any agent") as raised:
                await serve_next(scheduler, timeout=timeout)
            assert isinstance(raised.value, AcquireTimeoutError)
        async with scheduler.acquire("a"):
            await scheduler.submit_task("b")
            with pytest.raises(NoTaskError):
                async with scheduler.serve(timeout=0.05, nested="allow"):
                    pass
        assert not schedulers.dump().tallies.get(b"f\0timeout")
        await serve_next(scheduler, timeout=0)


@pytest.mark.parametrize("timeout", ["1", True, float("nan")])
def test_a_bad_timeout_is_refused(schedulers: Schedulers, timeout: object) -> None:
    """At once, not on entering."""
    with pytest.raises(ValueError, match="timeout must be a number of seconds"):
        schedulers().serve(timeout=timeout)  # type: ignore[arg-type]


async def test_a_body_does_not_serve_another_task_by_accident(schedulers: Schedulers) -> None:
    """Inside a lease it is an error, as `acquire` is; with "share" the task is the one at hand, and
    what an inner body raises is not yet its failure."""
    async with schedulers(1) as scheduler:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        async with scheduler.serve() as outer:
            with pytest.raises(ReentrantAcquireError):
                await serve_next(scheduler)
            with pytest.raises(KeyError):  # noqa: PT012  the block under test is the body
                async with scheduler.serve(nested="share") as inner:
                    assert inner is outer
                    raise KeyError
            outer.complete("done all the same")
        assert await scheduler.result(task_id) == "done all the same"
        task_id = await scheduler.submit_task("a", result_ttl=60)
        async with scheduler.serve():
            with pytest.raises(KeyError):
                async with scheduler.serve(nested="share"):
                    raise KeyError
        assert await scheduler.result(task_id) is None


async def test_agents_at_their_cap_are_passed_over(schedulers: Schedulers) -> None:
    """With a slot free and a server waiting, the task of a capped agent waits for its own."""
    agents = [Agent("heavy", max_concurrency=1)]
    async with schedulers(3, agents, alpha=1.0) as scheduler:
        first = await scheduler.submit_task("heavy", weight=9)
        second = await scheduler.submit_task("heavy", weight=9)
        third = await scheduler.submit_task("light")
        async with scheduler.serve() as lease:
            assert lease.task.task_id == first
            async with scheduler.serve(nested="allow") as other:
                assert other.task.task_id == third
            waits = apart(serve_next(scheduler))
            await eventually(lambda: schedulers.waiting() == 1)
        assert await waits == second


async def test_tenants_at_their_cap_are_passed_over(schedulers: Schedulers) -> None:
    """The tasks of all agents of a tenant, as long as it holds as many slots as it may."""
    options = {"redis": schedulers.server.url, "lease_ttl": 2.0}
    tenants = MultiTenantScheduler(SharedResource(NAME, 3), **options)
    schedulers._made.append(tenants.scheduler)
    async with tenants:
        await tenants.register_tenant("acme", max_concurrency=1)
        await tenants.register_tenant("other")
        first, second = [await tenants.submit_task("acme", name) for name in "ab"]
        third = await tenants.submit_task("other", "a")
        scheduler = tenants.scheduler
        async with scheduler.serve() as lease:
            assert (lease.task.task_id, lease.agent_id) == (first, "acme/a")
            async with scheduler.serve(nested="allow") as other:
                assert (other.task.task_id, other.agent_id) == (third, "other/a")
            waits = apart(serve_next(scheduler))
            await eventually(lambda: schedulers.waiting() == 1)
        assert await waits == second


@pytest.mark.alone
async def test_the_rate_of_the_resource_holds_for_servers(schedulers: Schedulers) -> None:
    """With rpm a task waits for its moment, and then it comes without anybody asking again."""
    resource = SharedResource(NAME, 4, rpm=240, rpm_burst=1)  # one each quarter of a second
    scheduler = schedulers()
    scheduler = type(scheduler)((), resource, redis=schedulers.server.url, lease_ttl=2.0)
    schedulers._made.append(scheduler)
    async with scheduler:
        for _ in range(4):
            await scheduler.submit_task("a")
        began = time.monotonic()
        await asyncio.gather(*(apart(serve_next(scheduler)) for _ in range(4)))
        assert 0.7 < time.monotonic() - began < 1.4


async def test_a_paused_resource_serves_nothing(schedulers: Schedulers) -> None:
    """Nothing is served until it is resumed; servers keep their turn."""
    async with schedulers(1) as scheduler:
        await scheduler.operations.pause()
        task_id = await scheduler.submit_task("a")
        with pytest.raises(NoTaskError):
            await serve_next(scheduler, timeout=0.05)
        waits = apart(serve_next(scheduler))
        await eventually(lambda: schedulers.waiting() == 1)
        await scheduler.operations.resume()
        assert await waits == task_id


async def test_servers_are_no_backpressure(schedulers: Schedulers) -> None:
    """Who waits for work takes no place of those who wait for a slot."""
    async with schedulers(1, max_waiters=1) as scheduler:
        idle = [apart(serve_next(scheduler)) for _ in range(3)]
        await eventually(lambda: schedulers.waiting() == 3)
        async with scheduler.acquire("a"):
            asks = apart(_pull(schedulers, "b", weight=1))
            await eventually(lambda: schedulers.waiting() == 4)
        assert await asks is None
        for _ in idle:
            await scheduler.submit_task("a")
        await asyncio.gather(*idle)


async def _pull(schedulers: Schedulers, agent: str, weight: float | None = None) -> str | None:
    """A request for a slot of this agent, from another session."""
    async with schedulers(None) as other, other.acquire(agent, weight=weight) as lease:
        return lease.task.task_id
