"""The SLO: its window, its states, and who counts."""

from __future__ import annotations

import asyncio
import math

import pytest

from loco_redis import Task
from loco_redis.governance import SLOBudget, SLOState
from tests.schedulers import Schedulers


async def test_states(any_schedulers: Schedulers) -> None:
    """Healthy below warn, then warning, critical, and exhausted when every wait is too long."""
    slo = SLOBudget(target_wait=5.0, window=10, warn=0.5, critical=0.8)
    async with any_schedulers(slo=slo):
        assert (await slo.state(), await slo.violation_rate()) == (SLOState.HEALTHY, 0.0)
        assert await slo.budget_remaining() == 1.0
        for _ in range(10):
            assert await slo.record("x", 5) is SLOState.HEALTHY
        states = [await slo.record("x", 6) for _ in range(10)]
        assert states == [
            *[SLOState.HEALTHY] * 4,
            *[SLOState.WARNING] * 3,
            *[SLOState.CRITICAL] * 2,
            SLOState.EXHAUSTED,
        ]
        assert (await slo.violation_rate(), await slo.budget_remaining()) == (1.0, 0.0)


async def test_window_slides(schedulers: Schedulers) -> None:
    """Only the last waits count, of the whole fleet."""
    slo, other = SLOBudget(1.0, window=4), SLOBudget(1.0, window=4)
    async with schedulers(slo=slo), schedulers(slo=other):
        for waited in (9, 9, 0, 0):
            await slo.record("x", waited)
        assert await other.violation_rate() == 0.5
        await other.record("y", 1)
        assert await slo.violation_rate() == 0.25
        await other.reset()
        assert await slo.violation_rate() == 0.0
        assert await slo.record("x", 2) is SLOState.EXHAUSTED  # one of one


async def test_releases_count_their_waits(schedulers: Schedulers) -> None:
    """The age at the grant, in ticks, whether the body ended well or not."""
    slo = SLOBudget(target_wait=0, window=10)
    async with schedulers(slo=slo) as scheduler:
        await scheduler.submit_task("a", Task())
        async with scheduler.acquire("b", Task(weight=9.0)) as lease:
            assert lease.waited_ticks == 0
        assert await slo.violation_rate() == 0.0
        with pytest.raises(KeyError):
            async with scheduler.acquire("a"):
                raise KeyError
        assert await slo.violation_rate() == 0.5
        schedulers.at_rest = False  # the durable task that failed may be tried again


async def test_lease_can_be_recorded(schedulers: Schedulers) -> None:
    """By what it had waited."""
    slo = SLOBudget(target_wait=0)
    async with schedulers(slo=slo) as scheduler:
        async with scheduler.acquire("x") as lease:
            assert await slo.record("x", lease) is SLOState.HEALTHY


async def test_rule_of_the_fleet_holds(schedulers: Schedulers) -> None:
    """The rule set last decides, also for objects made with another; it cuts the window, too."""
    slo = SLOBudget(target_wait=3, window=10)
    async with schedulers(slo=slo):
        for waited in (9, 9, 9, 2):
            await slo.record("x", waited)
        assert await slo.state() is SLOState.WARNING
        async with schedulers(slo=SLOBudget(target_wait=3, window=2, warn=0.2, critical=0.5)):
            assert await slo.violation_rate() == 0.5
            assert await slo.state() is SLOState.CRITICAL


def test_unbound_budget_says_where_it_belongs() -> None:
    """It needs a scheduler to ask Redis through."""
    with pytest.raises(RuntimeError, match=r"slo=SLOBudget\("):
        asyncio.run(SLOBudget().state())
    assert repr(SLOBudget()) == "SLOBudget(20, 100, 0.75, 0.9)"


@pytest.mark.parametrize("name", ["target_wait", "window", "warn", "critical"])
@pytest.mark.parametrize("odd", [-1, math.nan, math.inf, "20", None, True, 10**10])
def test_odd_arguments_are_refused(name: str, odd: object) -> None:
    """By one line that names the value."""
    with pytest.raises(ValueError, match=f"^{name} must be .*, got {odd!r}$"):
        SLOBudget(**{name: odd})  # type: ignore[arg-type]


@pytest.mark.parametrize("shares", [(0.0, 0.5), (0.8, 0.7), (0.0, 0.0)])
def test_shares_must_ascend(shares: tuple[float, float]) -> None:
    """warn above 0, critical not below it."""
    with pytest.raises(ValueError, match="warn must be above 0 and at most critical"):
        SLOBudget(warn=shares[0], critical=shares[1])
    for window in (0, 1.5, 10_001):
        with pytest.raises(ValueError, match=f"window must be an int .* got {window}"):
            SLOBudget(window=window)  # type: ignore[arg-type]


async def test_odd_waits_are_refused(schedulers: Schedulers) -> None:
    """Nothing is recorded."""
    slo = SLOBudget(window=10)
    async with schedulers(slo=slo):
        for waited in (-1, 1.5, math.nan, None, True, Task()):
            with pytest.raises(ValueError, match="waited must be an int"):
                await slo.record("x", waited)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="agent id"):
            await slo.record("", 1)
        assert await slo.violation_rate() == 0.0
