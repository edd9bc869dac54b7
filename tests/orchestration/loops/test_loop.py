"""An agent loop without a scheduler: results, limits, timeouts, retries, cancellation."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from typing import Any

import pytest

from loco_redis.errors import BackpressureError, LeaseLostError
from loco_redis.orchestration.loops.loop import (
    AsyncAgentLoop,
    AsyncInvocationResult,
    AsyncLoopConfig,
)
from tests.orchestration.loops.work import QUICK, Work
from tests.waiting import eventually


def _quick(**options: Any) -> AsyncAgentLoop:
    options = {"max_concurrency": 2, "backoff_base": 0.001, **options}
    return AsyncAgentLoop(AsyncLoopConfig(**options))


@pytest.fixture
def work() -> Work:
    return Work()


async def test_a_result_has_what_the_work_returned(work: Work) -> None:
    """Arguments are passed on; a success has no error, and took some time."""
    result = await AsyncAgentLoop().run_single("writer", work.echo, 1, tone="dry")
    assert result == AsyncInvocationResult(
        "writer", True, (1, {"tone": "dry"}), None, result.latency_ms, 0, result.waited_ms
    )
    assert result.latency_ms > 0.5


async def test_no_more_than_max_concurrency_run(work: Work) -> None:
    """Further ones wait, first come, first served."""
    loop = AsyncAgentLoop(QUICK)
    results = await loop.run_all([("a", work.echo, (n,), {}) for n in range(50)])
    assert [result.output for result in results] == [*range(50)]
    assert work.most == 2
    assert "0 running, 50 measured" in repr(loop)


async def test_results_are_in_order_of_the_tasks() -> None:
    """Not in the order in which they end."""
    loop = AsyncAgentLoop(AsyncLoopConfig(max_concurrency=20))
    order = []

    async def later(n: int) -> int:
        await asyncio.sleep((20 - n) / 1000)
        order.append(n)
        return n

    results = await loop.run_all([(f"agent-{n}", later, (n,), {}) for n in range(20)])
    assert [result.output for result in results] == [*range(20)]
    assert [result.agent_id for result in results] == [f"agent-{n}" for n in range(20)]
    assert order != [*range(20)]


async def test_arguments_may_have_any_name(work: Work) -> None:
    """In run_all, where they cannot be mistaken for the loop's own."""
    [result] = await AsyncAgentLoop().run_all([("a", work.echo, (), {"fn": 1, "agent_id": 2})])
    assert result.output == (None, {"fn": 1, "agent_id": 2})


async def test_a_long_list_makes_few_tasks(work: Work) -> None:
    """At most 1,000 asyncio tasks exist at once, and each call has contextvars of its own."""
    most = []
    name: ContextVar[int] = ContextVar("name")

    async def look(number: int) -> int:
        assert name.get(None) is None
        name.set(number)
        if number % 100 == 0:
            most.append(len(asyncio.all_tasks()))
        return number

    results = await AsyncAgentLoop().run_all([("a", look, (n,), {}) for n in range(3000)])
    assert [result.output for result in results] == [*range(3000)]
    assert 500 < max(most) <= 1001


async def test_one_failure_does_not_touch_the_others(work: Work) -> None:
    """Each result is its own."""
    loop = _quick(max_retries=0)

    async def odd(n: int) -> int:
        if n % 2:
            raise OSError(f"no {n}")
        return n

    results = await loop.run_all([("a", odd, (n,), {}) for n in range(4)])
    assert [result.success for result in results] == [True, False, True, False]
    assert results[1].error == "OSError: no 1"
    assert isinstance(results[1].exception, OSError)
    assert results[1].output is None


async def test_retries_are_those_really_made(work: Work) -> None:
    """Not max_retries; the last attempt's result counts."""
    result = await _quick().run_single("a", work.fail, OSError("1"), OSError("2"))
    assert (result.success, result.output, result.retries) == (True, 3, 2)


async def test_retries_end_with_max_retries(work: Work) -> None:
    """The error is that of the last attempt."""
    errors = [OSError(str(n)) for n in range(9)]
    result = await _quick(max_retries=2).run_single("a", work.fail, *errors)
    assert (result.success, result.error, result.retries) == (False, "OSError: 2", 2)
    assert work.calls == 3


@pytest.mark.parametrize("error", [TypeError("bug"), AttributeError("bug"), NameError("bug")])
async def test_bugs_are_not_retried(work: Work, error: Exception) -> None:
    """Another attempt would fail alike."""
    result = await _quick().run_single("a", work.fail, error)
    assert (result.success, result.retries, work.calls) == (False, 0, 1)
    assert result.exception is error


@pytest.mark.parametrize("error", [ValueError("malformed"), KeyError("answer"), OSError("reset")])
async def test_other_errors_are_retried(work: Work, error: Exception) -> None:
    """Also ValueErrors: a model may answer well the next time."""
    assert (await _quick().run_single("a", work.fail, error)).retries == 1


async def test_what_is_retried_can_be_told(work: Work) -> None:
    """`retry_on` widens or narrows, `no_retry_on` takes away."""
    loop = _quick(retry_on=(ConnectionError,), no_retry_on=(ConnectionResetError,))
    assert loop.config.retries(ConnectionError())
    assert not loop.config.retries(ConnectionResetError())
    assert not loop.config.retries(KeyError())


def test_refusals_are_not_retried() -> None:
    """A lost lease is; a timeout as `retry_on_timeout` says."""
    config = AsyncLoopConfig(no_retry_on=())
    assert not config.retries(BackpressureError("llm", 1, 1))
    assert config.retries(LeaseLostError("llm", 1))
    assert config.retries(TimeoutError())
    assert not AsyncLoopConfig(retry_on_timeout=False).retries(TimeoutError())


@pytest.mark.parametrize("retry", [True, False])
async def test_timeouts_are_retried_if_asked_for(work: Work, retry: bool) -> None:
    """The work is cancelled, and its slot free."""
    loop = _quick(timeout_seconds=0.02, max_retries=2, retry_on_timeout=retry)
    result = await loop.run_single("a", work.wait)
    assert result.error == "TimeoutError: no result within 0.02 s"
    assert result.retries == (2 if retry else 0)
    assert work.running == 0
    assert work.calls == result.retries + 1


async def test_the_works_own_timeout_is_a_timeout(work: Work) -> None:
    """As of a client with a shorter one."""
    result = await _quick(retry_on_timeout=False).run_single("a", work.fail, TimeoutError("mine"))
    assert (result.error, result.retries) == ("TimeoutError: mine", 0)


async def test_backing_off_holds_no_slot(work: Work) -> None:
    """While one call backs off for long, another one gets the only slot."""
    loop = _quick(max_concurrency=1, backoff_base=3600.0, backoff_cap=3600.0)
    failing = asyncio.create_task(loop.run_single("a", work.fail, OSError()))
    await eventually(lambda: work.calls == 1)
    assert (await loop.run_single("b", work.echo, 1)).output == 1
    assert not failing.done()
    failing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await failing


async def test_pauses_grow(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exponentially, up to the cap, each drawn from zero to that."""
    paused = []

    async def sleep(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr("loco_redis.orchestration.loops._invocation.asyncio.sleep", sleep)
    for _ in range(50):
        loop = _quick(max_retries=5, backoff_base=1.0, backoff_cap=5.0)
        await loop.run_single("a", _no)
    most = [max(paused[n::5]) for n in range(5)]
    assert all(0.8 * cap < found <= cap for found, cap in zip(most, (1, 2, 4, 5, 5), strict=True))


async def _no() -> None:
    raise OSError


async def test_cancellation_passes_through(work: Work) -> None:
    """While it runs and while it waits; afterwards all slots are free."""
    loop = AsyncAgentLoop(QUICK)
    tasks = [asyncio.create_task(loop.run_single("a", work.wait)) for _ in range(5)]
    await eventually(lambda: work.running == 2)
    for task in tasks:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in done)
    assert work.running == 0
    assert (await loop.run_single("a", work.echo, 1)).success


async def test_a_timeout_around_it_passes_through(work: Work) -> None:
    """A caller's own limit is the caller's."""
    loop = AsyncAgentLoop(QUICK)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await loop.run_single("a", work.wait)
    assert work.running == 0


async def test_cancelling_run_all_ends_all(work: Work) -> None:
    """Nothing runs on."""
    loop = AsyncAgentLoop(QUICK)
    task = asyncio.create_task(loop.run_all([("a", work.wait, (), {})] * 10))
    await eventually(lambda: work.running == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.running == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancellation_of_the_works_own_is_a_failure() -> None:
    """Nobody cancelled the caller, who gets a result."""

    async def odd() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    loop = AsyncAgentLoop(QUICK)
    [result, other] = await loop.run_all([("a", odd, (), {}), ("b", asyncio.sleep, (0, 1), {})])
    assert (result.success, result.error, result.retries) == (False, "CancelledError", 0)
    assert other.output == 1


async def test_a_call_inside_a_call_is_refused(work: Work) -> None:
    """With the only slot held it would wait for itself; after the slot was given back it may."""
    loop = _quick(max_concurrency=1)

    async def outer() -> AsyncInvocationResult:
        return await loop.run_single("b", work.echo)

    result = await loop.run_single("a", outer)
    assert result.success
    assert result.output.error.startswith("ReentrantAcquireError: this task already holds a slot")
    assert (await loop.run_single("b", work.echo)).success
    other = AsyncAgentLoop(QUICK)

    async def elsewhere() -> AsyncInvocationResult:
        return await other.run_single("b", work.echo)

    assert (await loop.run_single("a", elsewhere)).output.success


async def test_work_must_be_awaitable() -> None:
    """A plain function is a bug, which is not retried."""
    result = await _quick().run_single("a", lambda: 7)  # type: ignore[arg-type, return-value]
    assert result.retries == 0
    assert result.error == (
        "TypeError: fn returned 7, which cannot be awaited: give an async function"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_concurrency": 0}, "max_concurrency must be an int from 1"),
        ({"max_concurrency": 1.5}, "max_concurrency must be an int"),
        ({"max_concurrency": True}, "max_concurrency must be an int"),
        ({"max_retries": -1}, "max_retries must be an int from 0"),
        ({"timeout_seconds": 0}, "timeout_seconds must be a number of seconds"),
        ({"idle_timeout_seconds": -1}, "idle_timeout_seconds must be a number of seconds"),
        ({"backoff_base": -1}, "backoff_base must be a number of seconds"),
        ({"backoff_cap": float("nan")}, "backoff_cap must be a number of seconds"),
        ({"retry_on_timeout": 1}, "retry_on_timeout must be True or False"),
        ({"collect_metrics": "no"}, "collect_metrics must be True or False"),
        ({"retry_on": ("OSError",)}, "retry_on must be a tuple of exception types"),
        ({"no_retry_on": (KeyboardInterrupt,)}, "no_retry_on must be a tuple of exception types"),
    ],
)
def test_bad_configuration_is_refused(options: dict[str, Any], message: str) -> None:
    """At once, by one line that names it."""
    with pytest.raises(ValueError, match=message):
        AsyncLoopConfig(**options)


async def test_bad_arguments_are_refused(work: Work) -> None:
    """Before anything runs."""
    loop = AsyncAgentLoop()
    with pytest.raises(ValueError, match="agent id must not be empty"):
        await loop.run_single("", work.echo)
    with pytest.raises(ValueError, match="fn must be an async function, got 1"):
        await loop.run_single("a", 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"tasks\[1\] must be \(agent_id, fn, args, kwargs\)"):
        await loop.run_all([("a", work.echo, (), {}), ("a", work.echo)])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"tasks\[0\]: agent id must be a str"):
        await loop.run_all([(None, work.echo, (), {})])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="config must be an AsyncLoopConfig"):
        AsyncAgentLoop({"max_concurrency": 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scheduler must be an AsyncLOCOScheduler"):
        AsyncAgentLoop(scheduler="redis://h")  # type: ignore[arg-type]
    assert work.calls == 0


async def test_latencies_are_counted(work: Work) -> None:
    """Those of failed calls, too; the waits for the slot are not in them."""
    loop = _quick(max_concurrency=1, max_retries=0)
    began = time.perf_counter()
    results = await loop.run_all([("a", asyncio.sleep, (0.01,), {})] * 5)
    took = (time.perf_counter() - began) * 1000
    await loop.run_single("a", work.fail, OSError())
    stats = loop.get_latency_stats()
    assert stats.keys() == {"p50_ms", "p95_ms", "p99_ms", "mean_ms", "count"}
    assert stats["count"] == 6
    assert 9 < stats["p50_ms"] <= stats["p95_ms"] <= stats["p99_ms"]
    assert sum(result.latency_ms for result in results) <= took
    assert results[4].waited_ms > results[1].waited_ms > 0
    loop.reset_metrics()
    assert loop.get_latency_stats() == dict.fromkeys(stats, 0)


async def test_latencies_need_not_be_counted(work: Work) -> None:
    """`collect_metrics=False`."""
    loop = _quick(collect_metrics=False)
    await loop.run_single("a", work.echo)
    assert loop.get_latency_stats()["count"] == 0


def test_a_loop_is_made_anywhere(work: Work) -> None:
    """Before there is an event loop."""
    loop = AsyncAgentLoop(QUICK)
    assert asyncio.run(loop.run_single("a", work.echo, 1)).output == 1
