"""Acquiring and releasing through the public API, on real servers."""

from __future__ import annotations

import asyncio
import math

import pytest

from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BackpressureError,
    Lease,
    SharedResource,
    Task,
)
from tests.schedulers import Schedulers
from tests.waiting import eventually


async def test_lease_tells_what_was_granted(any_schedulers: Schedulers) -> None:
    """A lease carries slot, token, task, agent and how it was chosen; leaving it frees the slot."""
    async with any_schedulers(capacity=2) as scheduler:
        async with scheduler.acquire("urgent", weight=3.0, timeout=5.0) as lease:
            assert (lease.slot, lease.agent_id, lease.task.weight) == (0, "urgent", 3.0)
            assert lease.token > 0
            assert lease.waited_ticks == 0
            assert 0.0 <= lease.score <= 1.0
            assert 0.0 <= lease.waited < 5.0
            assert lease.request_id.startswith(f"{scheduler.session_id}:")
            assert not any([lease.lost, lease.uncertain, lease.released])
            assert repr(lease) == (f"<Lease llm slot=0 token={lease.token} agent='urgent' held>")
            async with scheduler.acquire("urgent", nested="allow") as second:
                assert (second.slot, second.token > lease.token) == (1, True)
        assert lease.released
        assert repr(lease).endswith("released>")
        assert any_schedulers.held() == 0


async def test_task_given_is_the_task_held(schedulers: Schedulers) -> None:
    """A task given to acquire is bound to that request and is what the lease shows."""
    task = Task(weight=2.5, task_type="anthropic:sonnet", payload=b"\x00\xff")
    async with schedulers() as scheduler:
        async with scheduler.acquire("a", task) as lease:
            assert lease.task is task
        async with scheduler.acquire("a") as lease:
            assert lease.task == Task(weight=1.0)


async def test_lease_cannot_be_changed(schedulers: Schedulers) -> None:
    """The attributes of a lease are read-only."""
    async with schedulers() as scheduler, scheduler.acquire("a") as lease:
        for name in ("token", "slot", "agent_id", "waited", "task"):
            with pytest.raises(AttributeError):
                setattr(lease, name, 1)


async def test_slot_goes_to_the_agent_with_the_highest_load(schedulers: Schedulers) -> None:
    """Of two agents that have waited equally long, the one with more weight queued is served."""
    order: list[str] = []

    async def work(agent: str, weight: float) -> None:
        async with scheduler.acquire(agent, weight=weight) as lease:
            order.append(agent)
            assert lease.waited > 0.0

    async with schedulers(alpha=0.5) as scheduler:
        handle = await scheduler.acquire_start("holder")
        workers = [asyncio.create_task(work(*who)) for who in (("light", 1.0), ("heavy", 9.0))]
        await eventually(lambda: schedulers.waiting() == 2)
        await scheduler.release_handle(handle)
        await asyncio.gather(*workers)
    assert order == ["heavy", "light"]


async def test_body_that_raises_frees_the_slot_uncharged(schedulers: Schedulers) -> None:
    """The exception emerges, the next waiter is served at once, and nothing is charged."""
    async with schedulers() as scheduler:
        with pytest.raises(ZeroDivisionError):
            async with scheduler.acquire("a", weight=4.0):
                _ = 1 / 0
        async with scheduler.acquire("b", weight=2.0, timeout=0):
            pass
        assert await scheduler.metrics.cost_by_agent() == {"b": 2.0}


async def test_settled_cost_replaces_the_weight(schedulers: Schedulers) -> None:
    """The last settled cost is charged, also for a body that raises."""
    async with schedulers() as scheduler:
        async with scheduler.acquire("a", weight=4.0) as lease:
            await lease.settle(cost=9.0)
            await lease.settle(cost=2.4)
        with pytest.raises(KeyError):  # noqa: PT012  the block under test is the body
            async with scheduler.acquire("a") as lease:
                await lease.settle(0.1)
                raise KeyError
        assert await scheduler.metrics.agent_cost("a") == pytest.approx(2.5)
        assert await scheduler.metrics.agent_cost("nobody") == 0.0
        assert await scheduler.metrics.total_cost() == pytest.approx(2.5)
        with pytest.raises(RuntimeError, match="released"):
            await lease.settle(1.0)


async def test_timeout_withdraws_the_request(schedulers: Schedulers) -> None:
    """AcquireTimeoutError is a TimeoutError, names agent, timeout and resource; nobody waits."""
    async with schedulers() as scheduler, scheduler.acquire("holder"):
        with pytest.raises(AcquireTimeoutError, match=r"'llm'.*'late'.*0.05 s") as caught:
            async with scheduler.acquire("late", timeout=0.05, nested="allow"):
                pytest.fail("there is one slot only")
        assert isinstance(caught.value, TimeoutError)
        await eventually(lambda: schedulers.waiting() == 0)


async def test_timeout_zero_takes_a_free_slot_or_fails(schedulers: Schedulers) -> None:
    """A timeout of 0 or less waits for Redis' first answer, and no longer."""
    async with schedulers() as scheduler:
        async with scheduler.acquire("a", timeout=0):
            for timeout in (0, -1.0):
                with pytest.raises(AcquireTimeoutError):
                    await scheduler.acquire_start("b", timeout=timeout, nested="allow")
        async with scheduler.acquire("b", timeout=0):
            pass


async def test_full_queue_refuses(schedulers: Schedulers) -> None:
    """At max_waiters the next acquire gets BackpressureError and leaves no trace."""
    async with schedulers(max_waiters=1) as scheduler:
        handle = await scheduler.acquire_start("holder")
        waiter = asyncio.create_task(_pass(scheduler, "waiter"))
        await eventually(lambda: schedulers.waiting() == 1)
        with pytest.raises(BackpressureError, match="max_waiters=1"):
            await scheduler.acquire_start("refused", nested="allow")
        assert schedulers.waiting() == 1
        await scheduler.release_handle(handle)
        await waiter


async def test_handle_is_released_once(schedulers: Schedulers) -> None:
    """release_handle may be called again, by anybody, without effect."""
    async with schedulers() as scheduler:
        handle = await scheduler.acquire_start("a", weight=2.0)
        assert handle.agent_id == "a"
        assert not handle.released
        await asyncio.create_task(scheduler.release_handle(handle))
        await scheduler.release_handle(handle)
        assert handle.released
        assert await scheduler.metrics.cost_by_agent() == {"a": 2.0}


async def test_acquisition_is_for_one_use(schedulers: Schedulers) -> None:
    """Entering the same acquisition twice is an error, not a second slot."""
    async with schedulers() as scheduler:
        acquisition = scheduler.acquire("a")
        async with acquisition:
            pass
        with pytest.raises(RuntimeError, match="once"):
            await acquisition.__aenter__()


async def test_tokens_rise_and_ticks_count_releases(schedulers: Schedulers) -> None:
    """Each lease has a higher token than the one before; a waiter ages by a tick a release."""
    async with schedulers(capacity=2, alpha=0.0) as scheduler:
        first, second = [await scheduler.acquire_start("a", nested="allow") for _ in range(2)]
        assert first.lease.token < second.lease.token
        waiter = asyncio.create_task(scheduler.acquire_start("late", nested="allow"))
        await eventually(lambda: schedulers.waiting() == 1)
        await scheduler.release_handle(first)
        third = await waiter
        assert third.lease.token > second.lease.token
        assert (third.lease.slot, third.lease.waited_ticks) == (first.lease.slot, 1)
        await scheduler.release_handle(second)
        await scheduler.release_handle(third)


@pytest.mark.parametrize("protocol", [2, 3])
async def test_both_protocols(schedulers: Schedulers, protocol: int) -> None:
    """Replies, hints and maps are understood in RESP2 and RESP3 alike."""
    url = f"{schedulers.server.url}?protocol={protocol}"
    async with schedulers(redis=url) as one, schedulers(redis=url) as other:
        handle = await one.acquire_start("a")
        waiter = asyncio.create_task(_pass(other, "b"))
        await eventually(lambda: schedulers.waiting() == 1)
        await one.release_handle(handle)
        await waiter
        assert await one.metrics.cost_by_agent() == {"a": 1.0, "b": 1.0}
        assert (await one.snapshot()).released == 2


async def test_many_tasks_never_exceed_capacity(any_schedulers: Schedulers) -> None:
    """200 bodies of 20 tasks on two schedulers hold 3 slots at most, and all 3 are used."""
    held, peak = 0, 0

    async def work(scheduler: AsyncLOCOScheduler, agent: str) -> None:
        nonlocal held, peak
        for _ in range(10):
            async with scheduler.acquire(agent, weight=1.5):
                held += 1
                peak = max(peak, held)
                await asyncio.sleep(0)
                held -= 1

    async with any_schedulers(capacity=3) as one, any_schedulers(capacity=3) as two:
        async with asyncio.TaskGroup() as group:
            for index in range(20):
                group.create_task(work((one, two)[index % 2], f"agent-{index % 5}"))
        snapshot = await one.snapshot()
    assert peak == snapshot.peak == 3
    assert snapshot.granted == snapshot.released == 200


@pytest.mark.parametrize(
    "arguments",
    [
        {"agent_id": ""},
        {"agent_id": "x" * 513},
        {"agent_id": "a\0b"},
        {"agent_id": b"bytes"},
        {"agent_id": "a", "weight": 0.5},
        {"agent_id": "a", "weight": math.nan},
        {"agent_id": "a", "weight": math.inf},
        {"agent_id": "a", "weight": 1e10},
        {"agent_id": "a", "timeout": math.nan},
        {"agent_id": "a", "timeout": "1"},
        {"agent_id": "a", "nested": "maybe"},
        {"agent_id": "a", "task": Task(), "weight": 1.0},
        {"agent_id": "a", "task": {"weight": 1}},
    ],
    ids=str,
)
def test_bad_arguments_fail_before_anything_is_sent(arguments: dict[str, object]) -> None:
    """They are ValueErrors of acquire() itself; nothing is even connected."""
    scheduler = AsyncLOCOScheduler([], SharedResource("llm", 1), redis="redis://127.0.0.1:1")
    with pytest.raises(ValueError):
        scheduler.acquire(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("agent", ["ascii", "ünïcode-🦙", "a|b:c{d}e\n", " ", "x" * 512])
async def test_odd_agent_names_survive_exactly(schedulers: Schedulers, agent: str) -> None:
    """Any text up to 512 bytes without NUL is an agent's name, and comes back unchanged."""
    async with schedulers() as scheduler:
        async with scheduler.acquire(agent) as lease:
            assert lease.agent_id == agent
            assert (await scheduler.snapshot()).holders[0].agent_id == agent
        assert await scheduler.metrics.cost_by_agent() == {agent: 1.0}


async def _pass(scheduler: AsyncLOCOScheduler, agent: str) -> Lease:
    async with scheduler.acquire(agent, nested="allow") as lease:
        return lease
