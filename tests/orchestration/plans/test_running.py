"""Running a plan in one process: order, side by side, results, retries, failures."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from loco_redis import SharedResource
from loco_redis.backoff import Backoff
from loco_redis.errors import (
    PlanError,
    PlanFailedError,
    ReentrantAcquireError,
    ShutdownError,
)
from loco_redis.orchestration.plans import Plan, Progress, Step, StepContext
from loco_redis.orchestration.pools.pool import ResourcePool
from tests.schedulers import Schedulers

NO_WAIT = Backoff(0)
DIAMOND = Plan(
    [
        Step("join", depends_on=["left", "right"]),
        Step("left", depends_on=["begin"]),
        Step("right", depends_on=["begin"]),
        Step("begin"),
    ]
)


async def name_of(context: StepContext) -> str:
    return context.step.name


async def fail(context: StepContext) -> None:
    raise OSError("no such file")


async def test_results_go_to_those_that_depend_on_them(any_schedulers: Schedulers) -> None:
    """Each handler sees the inputs and what its dependencies returned."""
    seen: dict[str, Any] = {}

    async def add(context: StepContext) -> dict[str, Any]:
        seen[context.step.name] = dict(context.results)
        return {"n": context.inputs["n"] + sum(r["n"] for r in context.results.values())}

    scheduler = any_schedulers(capacity=2)
    result = await DIAMOND.run(scheduler, {"*": add}, {"n": 1})
    assert result.state == "done"
    assert {name: value["n"] for name, value in result.results.items()} == {
        "begin": 1,
        "left": 2,
        "right": 2,
        "join": 5,
    }
    assert seen["join"] == {"left": {"n": 2}, "right": {"n": 2}}
    assert seen["begin"] == {}
    assert set(result.states.values()) == {"done"}
    assert result.errors == {}


async def test_independent_steps_run_side_by_side(schedulers: Schedulers) -> None:
    """Two meet at a barrier, which neither would pass alone."""
    barrier = asyncio.Barrier(2)

    async def meet(context: StepContext) -> int:
        async with asyncio.timeout(10):
            return await barrier.wait() >= 0

    result = await DIAMOND.run(schedulers(capacity=2), {"left": meet, "right": meet, "*": name_of})
    assert result.results["left"] is result.results["right"] is True


async def test_steps_hold_slots_of_their_agents(schedulers: Schedulers) -> None:
    """With one slot they never overlap; the agent and the weight are the step's."""
    holders = []

    async def look(context: StepContext) -> None:
        snapshot = await scheduler.snapshot()
        (holder,) = snapshot.holders
        holders.append((holder.agent_id, holder.weight, holder.token == context.lease.token))

    scheduler = schedulers(capacity=1)
    plan = Plan([Step("a", agent="reader", weight=3.0), Step("b", agent="writer"), Step("c")])
    await plan.run(scheduler, {"*": look})
    assert sorted(holders) == [("c", 1.0, True), ("reader", 3.0, True), ("writer", 1.0, True)]


async def test_handlers_are_found_by_step_then_agent_then_star(schedulers: Schedulers) -> None:
    plan = Plan([Step("a", agent="x"), Step("b", agent="x"), Step("c", agent="y")])
    handlers = {"a": lambda _: "step", "x": lambda _: "agent", "*": lambda _: "star"}
    scheduler = schedulers()
    result = await plan.run(scheduler, handlers)
    assert result.results == {"a": "step", "b": "agent", "c": "star"}
    with pytest.raises(PlanError, match=r"no handler for steps \['c'\]"):
        await plan.run(scheduler, {"x": name_of})


async def test_a_plain_function_runs_in_a_thread(schedulers: Schedulers) -> None:
    """The event loop goes on: the other step ends what this one waits for."""
    gate = threading.Event()

    def wait(context: StepContext) -> str:
        assert gate.wait(10)
        return threading.current_thread().name

    async def open_gate(context: StepContext) -> None:
        gate.set()

    result = await Plan([Step("a"), Step("b")]).run(
        schedulers(capacity=2), {"a": wait, "b": open_gate}
    )
    assert result.results["a"].startswith("loco_redis.handler")


async def test_what_failed_is_tried_again(schedulers: Schedulers) -> None:
    """`retries` times; the attempts count up, and so do the tokens."""
    seen: list[tuple[int, int]] = []

    async def third_time(context: StepContext) -> str:
        seen.append((context.attempt, context.token))
        if context.attempt < 3:
            raise OSError(f"attempt {context.attempt}")
        return "done"

    plan = Plan([Step("a", retries=2, backoff=Backoff(0.02))])
    news: list[Progress] = []
    scheduler = schedulers()
    result = await plan.run(scheduler, {"*": third_time}, plan_id="p", on_progress=news.append)
    assert result.results == {"a": "done"}
    (step,) = (await Plan.status(scheduler, "p")).steps
    assert (step.attempts, step.failures, step.error) == (3, 2, None)
    assert [attempt for attempt, _ in seen] == [1, 2, 3]
    assert seen == sorted(seen, key=lambda pair: pair[1])
    states = [(one.state, one.error) for one in news if one.state != "running"]
    assert states == [
        ("pending", "OSError: attempt 1"),
        ("pending", "OSError: attempt 2"),
        ("done", None),
    ]
    assert [one.finished for one in news] == [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("mode", "states", "ends"),
    [
        ("cancel", {"below": "cancelled", "deep": "cancelled"}, "failed"),
        ("skip", {"below": "skipped", "deep": "skipped"}, "done"),
        ("continue", {"below": "done", "deep": "done"}, "done"),
    ],
)
async def test_what_a_failure_does_to_those_below(
    schedulers: Schedulers, mode: Any, states: dict[str, str], ends: str
) -> None:
    """The rest goes on in each case; only "cancel" fails the plan."""
    results_of_below: list[dict[str, Any]] = []

    async def note(context: StepContext) -> str:
        if context.step.name == "below":
            results_of_below.append(dict(context.results))
        return context.step.name

    plan = Plan(
        [
            Step("bad", on_failure=mode, retries=1, backoff=NO_WAIT),
            Step("aside"),
            Step("below", depends_on=["bad", "aside"]),
            Step("deep", depends_on=["below"]),
            Step("rest", depends_on=["aside"]),
        ]
    )
    handlers = {"bad": fail, "*": note}
    scheduler = schedulers(capacity=2)
    if ends == "done":
        result = await plan.run(scheduler, handlers, plan_id="p")
    else:
        with pytest.raises(PlanFailedError, match="step 'bad': OSError: no such file") as caught:
            await plan.run(scheduler, handlers, plan_id="p")
        result = caught.value.result
    expected = {"bad": "failed", "aside": "done", "rest": "done", **states}
    assert (result.state, result.states) == (ends, expected)
    assert result.errors == {"bad": "OSError: no such file"}
    assert results_of_below == ([{"aside": "aside"}] if mode == "continue" else [])


async def test_a_plan_that_has_ended_is_not_run_again(schedulers: Schedulers) -> None:
    """Running it gives what came out, or raises what was raised."""
    scheduler, calls = schedulers(), []
    for _ in range(2):
        result = await DIAMOND.run(scheduler, {"*": lambda c: calls.append(c)}, plan_id="good")
        assert result.state == "done"
        with pytest.raises(PlanFailedError):
            await Plan([Step("a")]).run(scheduler, {"*": fail}, plan_id="bad")
    assert len(calls) == 4


async def test_a_step_that_takes_too_long_has_failed(schedulers: Schedulers) -> None:
    """An async handler is cancelled; a thread is waited for, and has failed too."""
    gate, cancelled = threading.Event(), []

    async def never(context: StepContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(context.step.name)
            gate.set()
            raise

    def late(context: StepContext) -> str:
        assert gate.wait(10)
        return "too late"

    plan = Plan([Step("thread", timeout=0.05), Step("task", timeout=0.1)])
    with pytest.raises(PlanFailedError) as caught:
        await plan.run(schedulers(capacity=2), {"task": never, "thread": late})
    assert caught.value.result.errors == {
        "task": "TimeoutError: not done within 0.1 s",
        "thread": "TimeoutError: not done within 0.05 s",
    }
    assert cancelled == ["task"]


@pytest.mark.parametrize(
    "value", [{1, 2}, float("nan"), "x" * (1 << 20)], ids=["set", "nan", "long"]
)
async def test_a_result_must_be_json(schedulers: Schedulers, value: Any) -> None:
    """Of at most 1 MiB; else the step has failed."""
    with pytest.raises(PlanFailedError, match="what the handler returned"):
        await Plan([Step("a")]).run(schedulers(), {"*": lambda _: value})


async def test_odd_errors_are_failures_too(schedulers: Schedulers) -> None:
    """A cancelled task that the handler awaits, and a text that is no Unicode."""

    async def awaits_cancelled(context: StepContext) -> None:
        inner = asyncio.create_task(asyncio.sleep(60))
        inner.cancel()
        await inner

    def odd(context: StepContext) -> None:
        raise ValueError("lone \udcff surrogate,\nsecond line")

    plan = Plan([Step("a"), Step("b")])
    async with asyncio.timeout(10):
        with pytest.raises(PlanFailedError) as caught:
            await plan.run(schedulers(), {"a": awaits_cancelled, "b": odd})
    assert caught.value.result.errors == {
        "a": "CancelledError:",
        "b": "ValueError: lone ? surrogate, second line",
    }


async def test_what_is_wrong_with_the_run_is_not_the_steps_fault(schedulers: Schedulers) -> None:
    """It is raised, the steps are given back, and a later run goes on."""
    scheduler = schedulers()
    async with scheduler.acquire("outer"):
        with pytest.raises(ReentrantAcquireError):
            await DIAMOND.run(scheduler, {"*": name_of}, plan_id="p")

    def broken(news: Progress) -> None:
        raise LookupError(news.step)

    with pytest.raises(LookupError, match="begin"):
        await DIAMOND.run(scheduler, {"*": name_of}, plan_id="p", on_progress=broken)
    status = await Plan.status(scheduler, "p")
    assert {step.state for step in status.steps} == {"pending"}
    result = await DIAMOND.run(scheduler, {"*": name_of}, plan_id="p")
    assert set(result.states.values()) == {"done"}
    status = await Plan.status(scheduler, "p")
    assert {step.failures for step in status.steps} == {0}


async def test_a_refusal_is_a_failure_of_the_step(schedulers: Schedulers) -> None:
    """Backpressure is met by retries like any other."""
    scheduler = schedulers(capacity=1, max_waiters=1)
    attempts = []
    plan = Plan([Step(f"s{n}", retries=100, backoff=Backoff(0.02)) for n in range(4)])
    result = await plan.run(scheduler, {"*": lambda c: attempts.append(c.attempt)})
    assert set(result.states.values()) == {"done"}
    assert max(attempts) > 1


async def test_on_progress_may_be_async(schedulers: Schedulers) -> None:
    news: list[tuple[str, str, int, int]] = []

    async def note(one: Progress) -> None:
        await asyncio.sleep(0)
        news.append((one.step, one.state, one.finished, one.total))

    await Plan([Step("a"), Step("b", depends_on=["a"])]).run(
        schedulers(), {"*": name_of}, on_progress=note
    )
    assert news == [
        ("a", "running", 0, 2),
        ("a", "done", 1, 2),
        ("b", "running", 1, 2),
        ("b", "done", 2, 2),
    ]


async def test_a_wide_plan(schedulers: Schedulers) -> None:
    """More steps than `concurrency`, which is kept."""
    inside, most = 0, 0

    async def count(context: StepContext) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1

    plan = Plan(
        [
            Step("last", depends_on=[f"s{n}" for n in range(200)]),
            *(Step(f"s{n}", depends_on=["first"]) for n in range(200)),
            Step("first"),
        ]
    )
    result = await plan.run(schedulers(capacity=50), {"*": count}, concurrency=8)
    assert result.states["last"] == "done"
    assert 1 < most <= 8


async def test_a_step_holds_all_its_resources(redis_url: str) -> None:
    """Of a pool; those that name none hold a slot of its primary one."""
    seen: dict[str, Any] = {}

    async def look(context: StepContext) -> None:
        lease = context.lease
        seen[context.step.name] = (list(context.leases), lease.name, lease.agent_id)

    async with ResourcePool(redis=redis_url) as pool:
        pool.add(SharedResource("api", capacity=1))
        pool.add(SharedResource("gpu", capacity=1))
        plan = Plan([Step("both", agent="x", resources=["gpu", "api"]), Step("one")])
        await plan.run(pool, {"*": look}, plan_id="p")
        assert seen == {"both": (["gpu", "api"], "gpu", "x"), "one": (["api"], "api", "one")}
        assert (await Plan.status(pool, "p")).state == "done"
        with pytest.raises(PlanError, match=r"step 'a' needs \['tpu'\], which the pool does not"):
            await Plan([Step("a", resources=["gpu", "tpu"])]).run(pool, {"*": look})


async def test_a_scheduler_that_is_closed_ends_the_run(schedulers: Schedulers) -> None:
    """That the slot was lost is not the step's fault: the plan goes on with another scheduler."""
    closing, gate = schedulers(capacity=1), asyncio.Event()

    async def wait(context: StepContext) -> None:
        gate.set()
        await asyncio.Event().wait()

    run = asyncio.create_task(DIAMOND.run(closing, {"*": wait}, plan_id="p"))
    await gate.wait()
    await closing.shutdown(timeout=0)
    await closing.aclose()
    with pytest.raises(ShutdownError):
        await run
    other = schedulers(capacity=1)
    result = await DIAMOND.run(other, {"*": lambda c: c.attempt}, plan_id="p")
    assert result.results == {"begin": 3, "left": 1, "right": 1, "join": 1}
    assert (await Plan.status(other, "p")).steps[0].failures == 0


async def test_a_step_whose_slot_was_taken_is_run_again(schedulers: Schedulers) -> None:
    """By an operator: the handler is cancelled, and called anew."""
    scheduler, began = schedulers(capacity=1), asyncio.Event()

    async def wait(context: StepContext) -> int:
        began.set()
        if context.attempt == 1:
            await asyncio.Event().wait()
        return context.attempt

    run = asyncio.create_task(Plan([Step("a")]).run(scheduler, {"*": wait}))
    await began.wait()
    (holder,) = (await scheduler.snapshot()).holders
    await scheduler.operations.release(holder.token)
    assert (await run).results == {"a": 2}
