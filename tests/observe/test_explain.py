"""The ranking by L(i) that `loco-redis why` shows, and what it says keeps a slot from an agent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from loco_redis import Agent, Task
from loco_redis._rows import LoadRow
from loco_redis.observe import Link, Observer, explain
from tests.schedulers import NAME, Schedulers
from tests.servers import Server
from tests.waiting import eventually


@pytest.fixture
def observer(server: Server) -> Iterator[Observer]:
    with Link(server.url) as link:
        yield Observer(link, NAME)


def load(q: int, tick: int, seq: int, waiting: int = 1, place: str = "") -> LoadRow:
    return LoadRow(q, tick, seq, waiting, 0 if waiting else 1, 0, "b", 1000, place, None, b"id")


@pytest.mark.parametrize("seed", range(20))
def test_score_and_rank_are_those_of_the_plain_formula(seed: int) -> None:
    """For random queues, ages, alphas and trust; ties go to the older head."""
    rng = random.Random(seed)
    tick, alpha = rng.randint(1, 50), rng.choice([0.0, 0.25, 0.3, 0.5, 1.0])
    places = ["", ":" + ":080", ":" + ":117"] if seed % 2 else [""]
    loads = {
        b"agent%d" % n: load(1000 * rng.randint(1, 4), rng.randint(0, tick), n, 1, place)
        for n, place in enumerate(rng.choices(places, k=rng.randint(1, 30)))
    }
    found = explain.ranking(loads, alpha, tick)

    most_q = max(row.q for row in loads.values())
    most_d = max(tick - row.tick for row in loads.values())
    scores = {}
    for agent, row in loads.items():
        age = (tick - row.tick) / most_d if most_d else 0.0
        trust = int(row.place[-3:]) / 100 if row.place else 1.0
        scores[agent.decode()] = trust * (alpha * row.q / most_q + (1 - alpha) * age)
    assert {row.agent_id: row.score for row in found.rows} == pytest.approx(scores)
    assert [row.rank for row in found.rows] == [*range(1, len(loads) + 1)]
    keys = [(-round(row.score, 12), loads[row.agent_id.encode()].seq) for row in found.rows]
    assert keys == sorted(keys)
    for row in found.rows:
        assert row.score == pytest.approx(row.trust * (row.depth_term + row.age_term))


def test_who_only_has_tasks_is_not_ranked() -> None:
    """It counts in the maxima, but goes before nobody; nor does one at its cap."""
    loads = {
        b"a": load(1000, 5, 3),
        b"deep": load(9000, 0, 1, waiting=0),
        b"capped": load(3000, 1, 2, place="c"),
        b"acme/1": load(3000, 1, 4, place=":acme:100"),
    }
    found = explain.ranking(loads, 0.25, 10, closed={"tacme"})
    assert [(row.agent_id, row.rank) for row in found.rows] == [
        ("capped", 1),
        ("acme/1", 2),
        ("a", 3),
        ("deep", None),
    ]
    assert (found.max_depth, found.max_age, found.waiting_agents) == (9.0, 10, 3)
    row = found.of("a")
    assert row is not None
    assert found.before(row) == ()
    assert found.first == row


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5])
async def test_it_foretells_the_order_of_grants(
    schedulers: Schedulers, observer: Observer, alpha: float
) -> None:
    """Whoever is first at the tick of the next release gets that slot, with that score; the scores
    of now are those that the scripts tell."""
    rng = random.Random(alpha)
    scheduler = schedulers(capacity=1, alpha=alpha)
    async with scheduler:
        handle = await scheduler.acquire_start("first")
        asked = [
            asyncio.create_task(scheduler.acquire_start(rng.choice("abcd"), weight=weight))
            for weight in (rng.randint(1, 9) for _ in range(12))
        ]
        await eventually(lambda: observer.snapshot().waiting == len(asked))
        pending = set(asked)
        while pending:
            now, loads = observer.snapshot(), observer.loads()
            for row in observer.ranking(now).rows:
                assert row.score == observer.agent(row.agent_id).score
            expected = explain.ranking(loads, now.alpha, now.tick + 1).first
            assert expected is not None
            await scheduler.release_handle(handle)
            (done,), pending = await asyncio.wait(pending, return_when="FIRST_COMPLETED")
            handle = done.result()
            (holder,) = observer.requests().holders
            assert holder.agent_id == expected.agent_id
            assert holder.score == expected.score
        await scheduler.release_handle(handle)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5])
async def test_who_serves_any_agent_is_given_the_first(
    schedulers: Schedulers, observer: Observer, alpha: float
) -> None:
    """While somebody waits in `serve`, agents whose tasks are queued are ranked with those who
    have a request of their own; without, they are not."""
    rng = random.Random(alpha)
    capped = Agent("c", max_concurrency=0)
    async with schedulers(capacity=1, alpha=alpha, agents=[capped]) as scheduler:
        outer = scheduler.acquire("first")
        await outer.__aenter__()
        for agent in "ababcab":
            await scheduler.submit_task(agent, weight=rng.randint(1, 9))
        own = asyncio.create_task(scheduler.acquire_start("own", weight=4.0, nested="allow"))
        await eventually(lambda: observer.snapshot().waiting == 1)
        assert [row.agent_id for row in observer.ranking().rows if row.rank] == ["own"]
        for _ in range(6):
            inner = scheduler.serve(nested="allow")
            entering = asyncio.create_task(inner.__aenter__())
            await eventually(lambda: observer.snapshot().serving == 1)
            now = observer.snapshot()
            found = explain.ranking(observer.loads(), alpha, now.tick + 1, {"ac"}, now.serving)
            assert [row.agent_id for row in observer.ranking(now).rows if row.capped] == ["c"]
            assert found.first is not None
            await outer.__aexit__(None, None, None)
            await asyncio.wait([own, entering], return_when="FIRST_COMPLETED")
            (holder,) = observer.requests().holders
            assert (holder.agent_id, holder.score) == (found.first.agent_id, found.first.score)
            if holder.agent_id == "own":
                await scheduler.release_handle(own.result())
            await entering
            outer = inner
        await outer.__aexit__(None, None, None)
        if not own.result().released:
            await scheduler.release_handle(own.result())
        task = next(task for task in observer.tasks() if task.agent_id == "c")
        await scheduler.cancel_task(task.task_id)


async def test_agents_and_tenants_at_their_caps_are_passed_over(
    schedulers: Schedulers, observer: Observer
) -> None:
    """Their rank is what it would be; who comes first is somebody who may."""
    scheduler = schedulers(capacity=3, agents=[Agent("capped", max_concurrency=1)])
    async with scheduler:
        handles = [await scheduler.acquire_start(agent) for agent in ("capped", "x", "y")]
        waiting = []
        for agent in ("capped", "late"):
            waiting.append(asyncio.create_task(scheduler.acquire_start(agent, Task(2.0))))
            await eventually(lambda: observer.snapshot().waiting == len(waiting))
        found = observer.ranking()
        assert [(row.agent_id, row.capped) for row in found.rows] == [
            ("capped", True),
            ("late", False),
        ]
        assert found.first == found.rows[1]
        for handle in handles:
            await scheduler.release_handle(handle)
        for handle in await asyncio.gather(*waiting):
            await scheduler.release_handle(handle)
