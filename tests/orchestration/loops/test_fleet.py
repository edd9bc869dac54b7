"""An agent loop with a scheduler: the slots are the fleet's, and so are the refusals."""

from __future__ import annotations

import asyncio
from itertools import accumulate

import pytest

from loco_redis import BudgetPolicy, LOCOScheduler, SharedResource, Task
from loco_redis.orchestration.loops.loop import (
    AsyncAgentLoop,
    AsyncInvocationResult,
    AsyncLoopConfig,
)
from tests.orchestration.loops.processes import run
from tests.orchestration.loops.work import QUICK, Work
from tests.schedulers import Schedulers
from tests.waiting import eventually


def _most_at_once(spans: list[tuple[int, int]]) -> int:
    """What ends and what begins at the same instant does not overlap."""
    edges = sorted([(end, -1) for _, end in spans] + [(begin, 1) for begin, _ in spans])
    return max(accumulate(change for _, change in edges))


async def test_two_processes_share_two_slots(schedulers: Schedulers) -> None:
    """Never do three calls run at once, by the calls' own clock; each process has run two at once
    although its max_concurrency is 1; all results are there, retries included."""
    await schedulers(2)._use()
    told = await run(2, "loop", schedulers.server.url, 150)
    spans = [tuple(span) for process in told for span in process["spans"]]
    assert _most_at_once(spans) == 2
    assert all(_most_at_once(process["spans"]) == 2 for process in told)
    assert all(process["outputs"] == [*range(150)] for process in told)
    retries = sum(process["retries"] for process in told)
    assert retries > 0
    assert len(spans) == 300 + retries


async def test_a_lost_lease_is_a_failed_attempt(schedulers: Schedulers) -> None:
    """The body is cancelled; the next attempt has a new slot."""
    scheduler, work = schedulers(1), Work()
    loop = AsyncAgentLoop(QUICK, scheduler)
    task = asyncio.create_task(loop.run_single("a", work.wait))
    await eventually(lambda: work.running == 1)
    [holder] = (await scheduler.snapshot()).holders
    await scheduler.operations.release(holder.token)
    await eventually(lambda: work.calls == 2)
    work.gate.set()
    result = await task
    assert (result.success, result.output, result.retries) == (True, "through", 1)


async def test_lost_leases_use_up_the_attempts(schedulers: Schedulers) -> None:
    """The result names the last."""
    scheduler, work = schedulers(1), Work()
    loop = AsyncAgentLoop(AsyncLoopConfig(max_retries=0), scheduler)
    task = asyncio.create_task(loop.run_single("a", work.wait))
    await eventually(lambda: work.running == 1)
    [holder] = (await scheduler.snapshot()).holders
    await scheduler.operations.release(holder.token)
    result = await task
    assert not result.success
    assert result.error is not None
    assert result.error.startswith("LeaseLostError: the lease of 'llm'")


async def test_refusals_are_results_and_not_retried(schedulers: Schedulers) -> None:
    """One agent is over its budget, the others go on; what was refused has no latency."""
    budget = BudgetPolicy(default_limit=100, limits={"poor": 1.5}, on_exceeded="reject")
    loop, work = AsyncAgentLoop(QUICK, schedulers(2, budget=budget)), Work()
    results = await loop.run_all([(who, work.echo, (1,), {}) for who in ("poor", "rich", "poor")])
    assert sum(result.success for result in results) == 2
    [refused] = [result for result in results if not result.success]
    assert (refused.agent_id, refused.retries, refused.latency_ms) == ("poor", 0, 0.0)
    assert refused.error is not None
    assert refused.error.startswith("BudgetExceededError: ")
    assert (work.calls, loop.get_latency_stats()["count"]) == (2, 2)


async def test_failed_attempts_are_charged_nothing(schedulers: Schedulers) -> None:
    """The scheduler hears how the work ended."""
    ended: list[BaseException | None] = []
    scheduler = schedulers(1, on_task_completed=lambda lease, error: ended.append(error))
    error = OSError("first")
    await AsyncAgentLoop(QUICK, scheduler).run_single("a", Work().fail, error)
    assert ended == [error, None]


async def test_backing_off_and_waiting_hold_no_slot(schedulers: Schedulers) -> None:
    """Only what runs does."""
    scheduler, work = schedulers(1), Work()
    config = AsyncLoopConfig(backoff_base=3600.0, backoff_cap=3600.0)
    loop = AsyncAgentLoop(config, scheduler)
    task = asyncio.create_task(loop.run_single("a", work.fail, OSError()))
    await eventually(lambda: work.calls == 1)
    await eventually(lambda: schedulers.held() == 0)
    assert (await loop.run_single("b", work.echo, 1)).output == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_durable_tasks_are_left_alone(schedulers: Schedulers) -> None:
    """A call is a task of its own; it does not serve what is queued for its agent."""
    scheduler = schedulers(1)
    task_id = await scheduler.submit_task("a", Task(weight=2.0))
    result = await AsyncAgentLoop(QUICK, scheduler).run_single("a", Work().echo, 1)
    assert result.success
    await scheduler.cancel_task(task_id)  # it is queued still


async def test_nested_calls_are_refused(schedulers: Schedulers) -> None:
    """As by the scheduler itself."""
    loop = AsyncAgentLoop(QUICK, schedulers(1))

    async def outer() -> AsyncInvocationResult:
        return await loop.run_single("b", Work().echo)

    inner = (await loop.run_single("a", outer)).output
    assert inner.error.startswith("ReentrantAcquireError: this task already holds a slot of 'llm'")


async def test_a_closed_scheduler_refuses(schedulers: Schedulers) -> None:
    """Each result says so."""
    scheduler = schedulers(1)
    await scheduler._use()
    await scheduler.aclose()
    [result] = await AsyncAgentLoop(QUICK, scheduler).run_all([("a", Work().echo, (), {})])
    assert result.error is not None
    assert result.error.startswith("ShutdownError: ")


async def test_cancelling_a_waiter_withdraws_its_request(schedulers: Schedulers) -> None:
    """Nothing waits afterwards."""
    scheduler, work = schedulers(1), Work()
    loop = AsyncAgentLoop(QUICK, scheduler)
    tasks = [asyncio.create_task(loop.run_single("a", work.wait)) for _ in range(3)]
    await eventually(lambda: work.running == 1 and schedulers.waiting() == 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await eventually(lambda: schedulers.held() + schedulers.waiting() == 0)


async def test_misuse_is_raised(schedulers: Schedulers) -> None:
    """A scheduler of another kind, or of another event loop, is a bug and no result."""
    blocking = LOCOScheduler([], SharedResource("llm", 1), redis=schedulers.server.url)
    with pytest.raises(ValueError, match="scheduler must be an AsyncLOCOScheduler"):
        AsyncAgentLoop(scheduler=blocking)  # type: ignore[arg-type]
    scheduler = schedulers(1)
    await scheduler._use()
    loop = AsyncAgentLoop(QUICK, scheduler)
    with pytest.raises(RuntimeError, match="opened in another event loop"):
        await asyncio.to_thread(asyncio.run, loop.run_all([("a", Work().echo, (), {})]))
