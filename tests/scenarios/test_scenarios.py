"""The four scenarios of the single-process system on real scripts, with their known outcomes."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.scenarios.replay import Arrivals, jains_index, longest_waits, replay

AGENTS = 10
ROUND = (
    3 * AGENTS
)  # an agent starves when one of its tasks sees more than three rounds of all agents


def sustained_load() -> Arrivals:
    """Ten agents of weights 1 to 5, together one task a tick: the resource is just full."""
    weights = {f"agent{i}": w for i, w in enumerate([1, 1, 1, 2, 2, 2, 3, 3, 5, 5])}
    dice = random.Random(7)

    def arrivals(tick: int) -> Iterator[tuple[str, float]]:
        return ((agent, w) for agent, w in weights.items() if dice.random() < 1 / AGENTS)

    return arrivals


def webhook_spike() -> Arrivals:
    """Ten background agents with a backlog, then 70 % busy; five webhooks come at tick 30."""
    background = [f"background{i}" for i in range(AGENTS)]
    dice = random.Random(3)

    def arrivals(tick: int) -> Iterator[tuple[str, float]]:
        if tick == 0:
            yield from ((agent, 2.0) for agent in background for _ in range(4))
        yield from ((agent, 2.0) for agent in background if dice.random() < 0.07)
        if tick == 30:
            yield from ((f"webhook{i}", 1.0) for i in range(5))

    return arrivals


def burst() -> Arrivals:
    """Eight agents, each with one task more than the one before it, all at once."""

    def arrivals(tick: int) -> Iterator[tuple[str, float]]:
        if tick == 0:
            yield from ((f"agent{i}", 1.0 + i % 3) for i in range(8) for _ in range(i + 1))

    return arrivals


def security_mix() -> Arrivals:
    """55 agents of a code audit: scanners, auditors, reviewers and, last, heavy provers."""

    def arrivals(tick: int) -> Iterator[tuple[str, float]]:
        if tick == 0:
            yield from ((f"scanner{i}", 1.0) for i in range(25) for _ in range(2))
        if tick == 10:
            yield from ((f"auditor{i}", 2.0) for i in range(15) for _ in range(2))
        if tick == 20:
            yield from ((f"reviewer{i}", 3.0) for i in range(10))
        if tick == 40:
            yield from ((f"prover{i}", 5.0) for i in range(5))

    return arrivals


async def test_sustained_load_is_shared_evenly_by_age_alone(redis_url: str) -> None:
    """At alpha 0 the mean waits of ten unequal agents are nearly equal: Jain's index >= 0.98."""
    served = await replay(redis_url, sustained_load(), 500, alpha=0.0)
    assert len(longest_waits(served)) == AGENTS
    assert jains_index(served) >= 0.98


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5])
async def test_nobody_starves_up_to_one_half(redis_url: str, alpha: float) -> None:
    """Under sustained load no task waits longer than three rounds of the agents."""
    served = await replay(redis_url, sustained_load(), 500, alpha)
    assert max(longest_waits(served).values()) <= ROUND


@pytest.mark.filterwarnings("ignore:alpha")
@pytest.mark.parametrize("alpha", [0.75, 1.0])
async def test_light_agents_starve_above_one_half(redis_url: str, alpha: float) -> None:
    """Where depth outweighs age, light agents wait longer than three rounds; heavy ones hardly."""
    waits = longest_waits(await replay(redis_url, sustained_load(), 500, alpha))
    assert max(waits.values()) > ROUND
    assert waits["agent8"] < AGENTS
    assert waits["agent9"] < AGENTS


async def test_a_spike_of_webhooks_is_served_soon_by_age(redis_url: str) -> None:
    """All five are served within 45 ticks at alpha 0, and later at 0.5."""
    by_age = longest_waits(await replay(redis_url, webhook_spike(), 120, alpha=0.0))
    by_both = longest_waits(await replay(redis_url, webhook_spike(), 120, alpha=0.5))
    for webhook in (f"webhook{i}" for i in range(5)):
        assert by_age[webhook] <= 45
        assert by_age[webhook] < by_both[webhook]


async def test_a_burst_goes_in_order_of_arrival_or_of_depth(redis_url: str) -> None:
    """Equal ages: alpha 0 serves in order of submission, 0.5 the deepest queue first."""
    by_age = await replay(redis_url, burst(), 36, alpha=0.0)
    by_both = await replay(redis_url, burst(), 36, alpha=0.5)
    assert [s.agent for s in by_age] == [f"agent{i}" for i in range(8) for _ in range(i + 1)]
    assert by_both[0].agent == "agent5"  # six tasks of weight 3: Q = 18
    assert by_both[1].agent == "agent7"  # eight of weight 2: Q = 16
    assert sorted(s.agent for s in by_both) == sorted(s.agent for s in by_age)
    assert all(s.finished for s in by_age + by_both)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5])
async def test_heavy_latecomers_are_served_and_nobody_starves(redis_url: str, alpha: float) -> None:
    """Provers of weight 5 that come to a backlog of 55 agents wait at most 80 ticks; all finish."""
    served = await replay(redis_url, security_mix(), 96, alpha)
    waits = longest_waits(served)
    assert len(waits) == 55
    assert max(waits[f"prover{i}"] for i in range(5)) <= 80
    assert all(request.finished for request in served)
