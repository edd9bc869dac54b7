"""The one-line API: configured once, then calls are wrapped."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

import pytest
import redis.asyncio

import loco_redis as loco
from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BudgetExceededError,
    ConfigMismatchError,
    LeaseLostError,
    LOCOScheduler,
    PolicyEnforcer,
    PolicyViolationError,
    SharedResource,
    ShutdownError,
    SLOBudget,
    Task,
    TrustScorer,
)
from loco_redis.context import Caller, current
from tests.cancelling import cancel_everywhere
from tests.defaults import Defaults, defaults
from tests.schedulers import NAME
from tests.servers import Server
from tests.waiting import eventually

__all__ = ["defaults"]


async def double(value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


def _another(defaults: Defaults, capacity: int | None = 1, **options: Any) -> AsyncLOCOScheduler:
    """One of the same resource that is none of the one-line API's."""
    resource = SharedResource(NAME, capacity)
    return AsyncLOCOScheduler([], resource, redis=defaults.server.url, lease_ttl=2.0, **options)


# configure


async def test_configure_passes_everything_on(defaults: Defaults) -> None:
    """Its arguments are those of the scheduler, the resource and the budget."""
    defaults.configure(
        3,
        optimize_for="throughput",
        auto_tune=True,
        max_waiters=100,
        budget_mode="alert",
        rpm=600,
        tpm=60_000,
        lease_ttl=1.5,
        adaptive_capacity=True,
        agents=[loco.Agent("known", "batch")],
    )
    scheduler = loco.get_scheduler()
    snapshot = await scheduler.snapshot()
    assert (snapshot.name, snapshot.capacity, snapshot.max_waiters) == (NAME, 3, 100)
    assert (snapshot.alpha, snapshot.lease_ttl) == (0.5, 1.5)
    assert (snapshot.rpm, snapshot.tpm, snapshot.auto_tune) == (600, 60_000, True)
    assert snapshot.adaptive_capacity is not None
    assert scheduler.budget is not None
    assert (await scheduler.budget.policy.summary())["on_exceeded"] == "alert"
    assert (await scheduler.get_agent("known")).agent_type == "batch"
    await scheduler.unregister_agent("known")


async def test_nothing_is_connected_before_the_first_use() -> None:
    """configure() and get_scheduler() do not even look whether there is a server."""
    loco.configure(capacity=1, redis="redis://127.0.0.1:1", backend_timeout=0.05)
    scheduler = loco.get_scheduler()
    assert loco.get_blocking_scheduler().name == scheduler.name == "llm_api"
    with pytest.raises(loco.BackendUnavailableError):
        await loco.wrap(double, 1)


async def test_configured_again(defaults: Defaults) -> None:
    """The same is no news; other arguments replace it while nothing is in use, and are refused
    afterwards."""
    defaults.configure(1)
    defaults.configure(2)
    defaults.configure(2)
    assert await loco.wrap(double, 1) == 2
    defaults.configure(2)
    with pytest.raises(RuntimeError, match=r"await loco_redis.reset\(\) first"):
        defaults.configure(3)
    assert (await loco.get_scheduler().snapshot()).capacity == 2
    await loco.get_scheduler().aclose()
    defaults.configure(3)


def test_configured_otherwise_while_threads_use_it(defaults: Defaults) -> None:
    """The blocking scheduler counts, too, until it is closed."""
    defaults.configure(1)
    scheduler = loco.get_blocking_scheduler()
    with pytest.raises(RuntimeError, match="in use"):
        defaults.configure(2)
    scheduler.close()
    defaults.configure(2)
    assert loco.get_blocking_scheduler() is not scheduler


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"capacity": -1}, "capacity must be an int from 0"),
        ({"capacity": "3"}, "capacity must be .+ got '3'"),
        ({"resource_name": "a b"}, "resource name must be .+ got 'a b'"),
        ({"redis": "http://x"}, "http://x"),
        ({"redis": 7}, "redis must be a URL or None, got 7"),
        ({"optimize_for": "speed"}, "optimize_for must be"),
        ({"optimize_for": "latency", "alpha": 0.1}, "give one of them"),
        ({"auto_tune": "yes"}, "auto_tune must be"),
        ({"max_waiters": -1}, "max_waiters must be"),
        ({"budget_mode": "stop"}, "budget_mode must be 'reject', 'alert', 'downgrade' or None"),
        ({"budget_mode": ["reject"]}, "budget_mode must be"),
        ({"rpm": -1}, "rpm must be an int"),
        ({"rpm_burst": 5}, "rpm_burst=5 without rpm"),
        ({"agents": ["a"]}, "agents must be Agent objects"),
        ({"lease": 3}, "unknown option 'lease': known are .+lease_ttl"),
        ({"slo": SLOBudget()}, "slo belongs to one scheduler"),
        ({"enforcer": PolicyEnforcer([])}, r"make an AsyncLOCOScheduler\(..., enforcer=...\)"),
        ({"trust_scorer": TrustScorer()}, "trust_scorer belongs to one"),
        ({"budget": None}, "budget belongs to one"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], text: str) -> None:
    """They are refused at once in one line; what was configured before stays."""
    with pytest.raises(ValueError, match=text) as caught:
        loco.configure(**arguments)
    assert "\n" not in str(caught.value)
    with pytest.raises(RuntimeError, match="nothing is configured"):
        loco.get_blocking_scheduler()


def test_client_is_refused(server: Server) -> None:
    """A client belongs to one event loop."""
    client = redis.asyncio.Redis.from_url(server.url)
    with pytest.raises(ValueError, match="a client belongs to one event loop"):
        loco.configure(redis=client)


async def test_redis_of_the_environment(
    defaults: Defaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a URL the environment says where Redis is, when it is first needed."""
    defaults.configure(1, redis=None)
    monkeypatch.setenv("LOCO_REDIS_URL", defaults.server.url)
    assert await loco.wrap(double, 4) == 8
    assert defaults.released() == 1


async def test_unconfigured() -> None:
    """Every function says what to do first."""

    @loco.scheduled("a")
    async def handle() -> None: ...

    for call in (loco.wrap(double, 1), loco.set_budget("a", 1.0), handle()):
        with pytest.raises(RuntimeError, match="call loco_redis.configure"):
            await call
    with pytest.raises(RuntimeError, match="call loco_redis.configure"):
        loco.get_scheduler()


def test_no_event_loop(defaults: Defaults) -> None:
    """get_scheduler() names the other one, which needs no loop."""
    defaults.configure(1)
    with pytest.raises(RuntimeError, match="get_blocking_scheduler"):
        loco.get_scheduler()
    assert isinstance(loco.get_blocking_scheduler(), LOCOScheduler)


async def test_callbacks(defaults: Defaults) -> None:
    """The callbacks of a scheduler are called for wrapped calls, too."""
    seen: list[str] = []
    defaults.configure(1, on_task_started=lambda lease: seen.append(lease.agent_id))
    await loco.wrap(double, 1, agent_id="x")
    assert seen == ["x"]


async def test_capacity_of_others_is_adopted(defaults: Defaults) -> None:
    """capacity=None takes what is stored; where nothing is, the first call says so."""
    defaults.configure(None)
    with pytest.raises(ConfigMismatchError, match="give SharedResource a capacity"):
        await loco.wrap(double, 1)
    async with _another(defaults, 7):
        assert await loco.wrap(double, 1) == 2
    assert (await loco.get_scheduler().snapshot()).capacity == 7


# wrap


async def test_wrap_gives_what_the_function_gives(defaults: Defaults) -> None:
    """Arguments are passed on; what can be awaited is awaited; each call is one passage."""
    defaults.configure(2)

    async def described(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    assert await loco.wrap(described, 1, 2, fn=3, agent_id="a", weight=2.0, prompt="p") == (
        (1, 2),
        {"fn": 3, "prompt": "p"},
    )
    assert await loco.wrap(sum, [1, 2]) == 3
    assert await loco.wrap(functools.partial(double, 4)) == 8
    assert await loco.wrap(lambda: double(5), weight=1) == 10
    assert defaults.released() == 4
    assert await loco.get_scheduler().metrics.cost_by_agent() == {"a": 2.0, "default": 3.0}


async def test_wrap_holds_a_slot_while_the_function_runs(defaults: Defaults) -> None:
    """The agent is in the context of what it calls, and the slot is its."""
    defaults.configure(2)

    async def look() -> tuple[list[str], Caller | None]:
        return defaults.held(), current()

    assert await loco.wrap(look, agent_id="analyst") == (["analyst"], Caller("analyst"))
    assert await loco.wrap(look) == (["default"], Caller("default"))
    with loco.agent("outer", team="risk"):
        assert await loco.wrap(look) == (["outer"], Caller("outer", team="risk"))
        inner = await loco.wrap(look, agent_id="inner")
        assert inner == (["inner"], Caller("inner", team="risk"))
    assert current() is None
    assert defaults.held() == []


async def test_attributes_of_the_context_go_into_the_task(defaults: Defaults) -> None:
    """Costs are attributed to team, workflow and session; labels are there for policies."""
    seen: list[Task] = []
    defaults.configure(1, on_task_completed=lambda lease, error: seen.append(lease.task))
    with loco.agent("a", team="risk", workflow="w", session_id="s", labels={"x": "public"}):
        await loco.wrap(double, 1, weight=3.0)
    assert seen == [
        Task(3.0, team="risk", workflow="w", session_id="s", labels={"x": "public"}),
    ]
    metrics = loco.get_scheduler().metrics
    assert await metrics.attribution.cost_by_team() == {"risk": 3.0}
    assert await metrics.cost_by_session() == {"s": 3.0}


async def test_failed_calls_are_charged_nothing(defaults: Defaults) -> None:
    """What the function raises emerges, and the slot is free."""
    defaults.configure(1)

    async def fail() -> None:
        raise KeyError("mine")

    def fail_plainly() -> None:
        raise KeyError("mine")

    for function in (fail, fail_plainly):
        with pytest.raises(KeyError, match="mine"):
            await loco.wrap(function, agent_id="a", weight=5.0)
        assert defaults.held() == []
    assert await loco.get_scheduler().metrics.total_cost() == 0.0


async def test_inside_a_slot_no_second_one_is_taken(defaults: Defaults) -> None:
    """wrap in wrap, and wrap in a with-block, use the slot that is there: capacity 1 is enough."""
    defaults.configure(1)

    async def inner() -> tuple[list[str], Caller | None]:
        return defaults.held(), current()

    async def outer() -> Any:
        return await loco.wrap(inner, agent_id="inner")

    assert await loco.wrap(outer, agent_id="outer") == (["outer"], Caller("inner"))
    async with loco.get_scheduler().acquire("block"):
        assert (await loco.wrap(outer))[0] == ["block"]
        assert defaults.held() == ["block"]
    own = _another(defaults)
    async with own, own.acquire("another scheduler of the resource"):
        assert (await loco.wrap(inner))[0] == ["another scheduler of the resource"]


async def test_timeout(defaults: Defaults) -> None:
    """The seconds to wait for a slot; 0 tries once."""
    defaults.configure(1)

    async def hold() -> None:
        holding.set()
        await go.wait()

    holding, go = asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(loco.wrap(hold))
    await holding.wait()
    for timeout in (0, 0.05):
        with pytest.raises(AcquireTimeoutError):
            await loco.wrap(double, 1, timeout=timeout)
    go.set()
    await holder
    assert await loco.wrap(double, 1, timeout=0) == 2


async def test_cancelled_everywhere(defaults: Defaults) -> None:
    """A wrapped call may be cancelled at each of its suspensions: nothing is held afterwards."""
    defaults.configure(1)
    await loco.get_scheduler().snapshot()

    async def work() -> None:
        assert await loco.wrap(double, 2, agent_id="a") == 4

    async def is_free() -> None:
        await eventually(lambda: not defaults.held() and not defaults.waiting())

    assert await cancel_everywhere(work, is_free) >= 3


async def test_lost_slot(defaults: Defaults) -> None:
    """The function is cancelled, and LeaseLostError emerges."""
    defaults.configure(1)

    async def hold() -> None:
        defaults.server.client.flushall()
        await asyncio.Event().wait()

    with pytest.raises(LeaseLostError):
        await loco.wrap(hold)
    assert await loco.wrap(double, 1) == 2


async def stream() -> AsyncIterator[int]:
    yield 1


def items() -> Any:
    yield 1


@pytest.mark.parametrize("function", [stream, items, lambda: stream(), lambda: items()])
async def test_iterators_are_not_wrapped(defaults: Defaults, function: Any) -> None:
    """They would be used after the slot is given back: TypeError names the decorator."""
    defaults.configure(1)
    with pytest.raises(TypeError, match="scheduled"):
        await loco.wrap(function)
    assert defaults.held() == []


async def test_bad_calls(defaults: Defaults) -> None:
    """They are refused before anything is asked for; a coroutine is closed, so nothing warns."""
    defaults.configure(1)
    with pytest.raises(TypeError, match=r"wrap\(double, ...\) without calling it"):
        await loco.wrap(double(1))
    with pytest.raises(TypeError, match="needs a function, got 7"):
        await loco.wrap(7)
    for arguments, text in [
        ({"agent_id": ""}, "agent id must not be empty"),
        ({"weight": 0.5}, "weight must be"),
        ({"timeout": "5"}, "timeout must be"),
    ]:
        with pytest.raises(ValueError, match=text):
            await loco.wrap(double, 1, **arguments)
    assert defaults.sessions() == 0


async def test_durable_tasks_are_left_alone(defaults: Defaults) -> None:
    """A wrapped call is a task of its own: it serves no task that was submitted."""
    defaults.configure(1)
    scheduler = loco.get_scheduler()
    task_id = await scheduler.submit_task("a", Task(payload=b"x"))
    await loco.wrap(double, 1, agent_id="a")
    await scheduler.cancel_task(task_id)


# Budgets


async def test_budget(defaults: Defaults) -> None:
    """What is beyond the limit is refused before the function is called."""
    defaults.configure(1, budget_mode="reject")
    await loco.set_budget("analyst", max_cost=5.0)
    assert await loco.wrap(double, 1, agent_id="analyst", weight=3.0) == 2
    with pytest.raises(BudgetExceededError):
        await loco.wrap(pytest.fail, "called", agent_id="analyst", weight=3.0)
    assert issubclass(BudgetExceededError, PolicyViolationError)
    assert await loco.wrap(double, 1, agent_id="other", weight=30.0) == 2
    budget = loco.get_scheduler().budget
    assert budget is not None
    assert (await budget.spent("analyst"), await budget.remaining("analyst")) == (3.0, 2.0)


async def test_budget_without_a_mode(defaults: Defaults) -> None:
    """set_budget() says how to switch budgets on."""
    defaults.configure(1)
    with pytest.raises(RuntimeError, match="budget_mode='reject'"):
        await loco.set_budget("a", 1.0)


@pytest.mark.parametrize(
    "arguments", [("", 1.0), ("a", -1.0), ("a", "1"), ("a", float("nan")), ("a", None)]
)
async def test_bad_budget(defaults: Defaults, arguments: Any) -> None:
    """ValueError, and nothing is stored."""
    defaults.configure(1, budget_mode="reject")
    with pytest.raises(ValueError, match="must"):
        await loco.set_budget(*arguments)
    assert not defaults.server.client.hgetall(f"loco:{{{NAME}}}:rules")


async def test_downgrade(defaults: Defaults) -> None:
    """In mode "downgrade" the lease says so to whoever holds it."""
    defaults.configure(1, budget_mode="downgrade")
    await loco.set_budget("a", 0.0)
    async with loco.get_scheduler().acquire("a") as lease:
        assert lease.downgraded


@pytest.mark.parametrize("mode", ["reject", "alert", "downgrade"])
async def test_mode_holds_whatever_was_stored(defaults: Defaults, mode: str) -> None:
    """Another mode that somebody has stored gives way, "reject" included; the default limit and the
    period that are stored stay."""
    for before in ("reject", "alert", "downgrade"):
        policy = loco.BudgetPolicy(default_limit=7.5, on_exceeded=before, period="day")
        async with _another(defaults, budget=policy) as other:
            defaults.configure(1, budget_mode=mode)
            await loco.wrap(double, 1)
            assert other.budget is not None
            assert await other.budget.policy.summary() == {
                "default_limit": 7.5,
                "on_exceeded": mode,
                "period": "day",
                "limits": {},
            }
        await loco.reset()


async def test_mode_alone_leaves_no_rule(defaults: Defaults) -> None:
    """Where nobody has set anything, "reject" needs no rule; and it takes a mode alone away."""
    rules = f"loco:{{{NAME}}}:rules"
    defaults.configure(1, budget_mode="alert")
    await loco.wrap(double, 1)
    assert defaults.server.client.hgetall(rules) == {b"b": b"|a|"}
    await loco.reset()
    defaults.configure(1, budget_mode="reject")
    await loco.wrap(double, 1)
    assert defaults.server.client.hgetall(rules) == {}


# reset


async def test_reset_closes_and_forgets(defaults: Defaults) -> None:
    """Then nothing is configured, and all can be configured anew; again it does nothing."""
    defaults.configure(1)
    await loco.wrap(double, 1)
    before = loco.get_scheduler()
    await asyncio.to_thread(loco.get_blocking_scheduler().snapshot)
    assert defaults.sessions() == 2
    await loco.reset()
    await loco.reset()
    defaults.is_at_rest()
    with pytest.raises(RuntimeError, match="nothing is configured"):
        loco.get_scheduler()
    defaults.configure(None)
    assert loco.get_scheduler() is not before
    assert await loco.wrap(double, 1) == 2
    with pytest.raises(ShutdownError):
        await before.snapshot()


async def test_reset_of_nothing() -> None:
    """It may be called at any time."""
    await loco.reset()
    await asyncio.gather(loco.reset(), loco.reset())


async def test_reset_while_slots_are_used(defaults: Defaults) -> None:
    """Holders lose their leases, waiters get ShutdownError; whoever calls it in a slot of its own
    is not cancelled, but learns of it."""
    defaults.configure(2)

    async def hold() -> None:
        await asyncio.Event().wait()

    holder = asyncio.create_task(loco.wrap(hold))
    await eventually(defaults.held)
    with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
        async with loco.get_scheduler().acquire("mine"):
            # Not in this context, where it would share this slot.
            waiter = Context().run(asyncio.create_task, loco.wrap(double, 1, agent_id="waiter"))
            await eventually(lambda: defaults.waiting() == 1)
            await loco.reset()
            await asyncio.sleep(0)
    with pytest.raises(LeaseLostError):
        await holder
    with pytest.raises(ShutdownError):
        await waiter


async def test_reset_while_threads_wait(defaults: Defaults) -> None:
    """They get ShutdownError, and the event loop goes on turning meanwhile."""
    defaults.configure(1)

    def wait() -> None:
        with loco.get_blocking_scheduler().acquire("thread"):
            pytest.fail("no slot is free")

    async with _another(defaults) as other, other.acquire("other"):
        with ThreadPoolExecutor(1) as pool:
            thread = pool.submit(wait)
            await eventually(lambda: defaults.waiting() == 1)
            await loco.reset()
            with pytest.raises(ShutdownError):
                thread.result()


async def test_scheduler_closed_by_somebody_else(defaults: Defaults) -> None:
    """The next call gets another one."""
    defaults.configure(1)
    async with loco.get_scheduler() as first:
        assert loco.get_scheduler() is first
        await loco.wrap(double, 1)
    assert await loco.wrap(double, 1) == 2
    assert loco.get_scheduler() is not first
    assert defaults.sessions() == 1
