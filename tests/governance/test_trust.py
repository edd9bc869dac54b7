"""Trust: signals, decay, and what it does to the choice."""

from __future__ import annotations

import asyncio
import math

import pytest

from loco_redis.governance import TrustScorer, TrustStats
from loco_redis.governance.trust import decayed
from loco_redis.testing.model_rules import decayed as decayed_in_model
from loco_redis.testing.model_state import Trust
from tests.schedulers import Schedulers
from tests.waiting import eventually

_AGES = 1e9  # a half-life in seconds, so that nothing decays in a test


async def _until_back_at_500(scorer: TrustScorer) -> None:
    for _ in range(1000):
        if await scorer.score("x") > 499.99:
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"x is at {await scorer.score('x')}")


async def test_signals(any_schedulers: Schedulers) -> None:
    """+15 success, +10 fast, -25 late, -50 error, -80 timeout, seen by the whole fleet."""
    scorer, reader = TrustScorer(20.0, _AGES), TrustScorer(20.0, _AGES)
    one = any_schedulers(trust_scorer=scorer)
    async with one, any_schedulers(trust_scorer=reader):
        assert await reader.stats("x") == TrustStats(500.0, 1.0)
        steps = [("fast", 10, 525), ("plain", 11, 540), ("plain", 20, 555), ("late", 21, 545)]
        for _, waited, score in steps:
            await scorer.record_success("x", wait_ticks=waited)
            assert await reader.score("x") == pytest.approx(score, abs=0.01)
        await scorer.record_error("x")
        assert await reader.score("x") == pytest.approx(495, abs=0.01)
        await scorer.record_timeout("x")
        stats = await reader.stats("x")
        assert stats.score == pytest.approx(415, abs=0.01)
        assert (stats.successes, stats.fast, stats.late) == (4, 1, 1)
        assert (stats.errors, stats.timeouts) == (1, 1)
        assert stats.priority_multiplier == await reader.priority_multiplier("x") == 0.97
        assert await reader.scores() == {"x": pytest.approx(415, abs=0.01)}


async def test_scores_stay_within_0_and_1000(schedulers: Schedulers) -> None:
    """The multiplier goes from 0.8 to 1.2."""
    scorer = TrustScorer(decay_half_life=_AGES)
    async with schedulers(trust_scorer=scorer):
        await asyncio.gather(*(scorer.record_timeout("bad") for _ in range(8)))
        await asyncio.gather(*(scorer.record_success("good") for _ in range(25)))
        assert await scorer.scores() == {
            "bad": pytest.approx(0, abs=0.01),
            "good": pytest.approx(1000, abs=0.01),
        }
        assert await scorer.priority_multiplier("bad") == 0.8
        assert await scorer.priority_multiplier("good") == 1.2


async def test_releases_are_signals(schedulers: Schedulers) -> None:
    """A body that ends well is a success, one that raises an error."""
    scorer = TrustScorer(decay_half_life=_AGES)
    async with schedulers(trust_scorer=scorer) as scheduler:
        async with scheduler.acquire("good"):
            pass
        with pytest.raises(KeyError):
            async with scheduler.acquire("bad"):
                raise KeyError
        scores = await scorer.scores()
        assert scores == {"good": pytest.approx(525, abs=0.01), "bad": pytest.approx(450, abs=0.01)}


async def test_trusted_agent_goes_first(schedulers: Schedulers) -> None:
    """With the same queue and age, the score decides; not the order of arrival."""
    scorer = TrustScorer(decay_half_life=_AGES)
    async with schedulers(trust_scorer=scorer) as scheduler:
        for _ in range(5):
            await scorer.record_timeout("bad")
            await scorer.record_success("good")
        first = await scheduler.acquire_start("somebody")
        order: list[str] = []

        async def work(agent: str) -> None:
            async with scheduler.acquire(agent):
                order.append(agent)

        waiters = []
        for count, agent in enumerate(("bad", "good"), 1):
            waiters.append(asyncio.create_task(work(agent)))
            await eventually(lambda count=count: schedulers.waiting() == count)
        await scheduler.release_handle(first)
        await asyncio.gather(*waiters)
        assert order == ["good", "bad"]


async def test_scores_return_to_500_on_the_servers_clock(schedulers: Schedulers) -> None:
    """Soon, when the half-life is short."""
    scorer = TrustScorer(decay_half_life=0.01)
    async with schedulers(trust_scorer=scorer):
        await scorer.record_timeout("x")
        await _until_back_at_500(scorer)
        assert await scorer.priority_multiplier("x") == 1.0
        assert (await scorer.stats("x")).timeouts == 1


async def test_half_life_of_the_fleet_holds(schedulers: Schedulers) -> None:
    """The rule set last decides, also for objects made with another."""
    first, last = TrustScorer(decay_half_life=_AGES), TrustScorer(decay_half_life=0.001)
    async with schedulers(trust_scorer=first):
        await first.record_error("x")
        assert await first.score("x") == pytest.approx(450, abs=0.01)
        async with schedulers(trust_scorer=last):
            await _until_back_at_500(first)


@pytest.mark.parametrize("score", [0, 1, 415_003, 500_000, 750_001, 1_000_000])
def test_decay_is_that_of_the_model(score: int) -> None:
    """To the thousandth, at any age."""
    for age in (-5, 0, 1, 999, 1000, 1500, 12_345, 39_999, 40_001, 41_000, 10**9):
        row, trust = b"%d|1000|0|0|0|0|0" % score, Trust(score, 1000, {})
        assert decayed(row, 1000 + age, 1000) == decayed_in_model(trust, 1000 + age, 1000)
    assert decayed(None, 7, 1000) == 500_000


def test_unbound_scorer_says_where_it_belongs() -> None:
    """It needs a scheduler to ask Redis through."""
    with pytest.raises(RuntimeError, match=r"trust_scorer=TrustScorer\("):
        asyncio.run(TrustScorer().score("x"))
    assert repr(TrustScorer(5, 60)) == "TrustScorer(5, 60)"


@pytest.mark.parametrize("odd", [-1, math.nan, math.inf, "20", None, True, 10**10])
def test_odd_arguments_are_refused(odd: object) -> None:
    """By one line that names the value."""
    for name in ("slo_target", "decay_half_life"):
        with pytest.raises(ValueError, match=f"^{name} must be .*, got {odd!r}$"):
            TrustScorer(**{name: odd})  # type: ignore[arg-type]


async def test_odd_signals_are_refused(schedulers: Schedulers) -> None:
    """Bad agents and waits are ValueErrors, and nothing is recorded."""
    scorer = TrustScorer()
    with pytest.raises(ValueError, match="decay_half_life"):
        TrustScorer(decay_half_life=0)
    async with schedulers(trust_scorer=scorer):
        for waited in (-1, 1.5, math.nan, None, True):
            with pytest.raises(ValueError, match="wait_ticks must be an int"):
                await scorer.record_success("x", waited)  # type: ignore[arg-type]
        for agent in ("", None, "a\0b"):
            for call in (scorer.record_error, scorer.record_timeout, scorer.score, scorer.stats):
                with pytest.raises(ValueError, match="agent id"):
                    await call(agent)  # type: ignore[arg-type]
        assert await scorer.scores() == {}
