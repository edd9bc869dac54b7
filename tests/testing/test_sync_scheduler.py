"""SyncTestScheduler: what is played, what the figures are, what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from loco_redis import SharedResource
from loco_redis.testing import (
    GrantStep,
    ReleaseStep,
    SyncTestScheduler,
    mock_agent,
    mock_resource,
)

BOTH = (mock_agent("webhook", tasks=2), mock_agent("batch", tasks=5, weight=2.0))


def test_tasks_of_one_moment_compete_before_a_slot_is_given() -> None:
    """The deepest queue goes first although it was listed last; then age decides, too. Worked out
    by hand with alpha 0.25 and one slot: at tick 3 the queues are 2 and 4, both aged 3."""
    result = SyncTestScheduler(BOTH, optimize_for="balanced").run()
    assert result.order == ["batch"] * 4 + ["webhook", "batch", "webhook"]
    assert result.waits == {"batch": [0, 1, 2, 3, 5], "webhook": [4, 6]}
    assert [grant.score for grant in result.grants[:2]] == [0.25, 1.0]


def test_ties_go_to_the_task_that_was_queued_first() -> None:
    """Equal queues of equal age are served in the order in which they are listed."""
    agents = [mock_agent(name) for name in ("c", "a", "b")]
    assert SyncTestScheduler(agents).run().order == ["c", "a", "b"]


def test_alpha_decides_between_depth_and_age() -> None:
    """An old light task wins with alpha 0, a young deep queue with alpha 0.5 and no other age."""
    agents = [
        mock_agent("holder", duration=3.0),
        mock_agent("old", at=1.0),
        mock_agent("young", 9, weight=9.0, at=2.0),
    ]
    latency = SyncTestScheduler(agents, optimize_for="latency").run()
    throughput = SyncTestScheduler(agents, optimize_for="throughput").run()
    assert latency.order[:2] == ["holder", "old"]
    assert throughput.order[:2] == ["holder", "young"]


def test_the_same_seed_plays_the_same() -> None:
    """Two runs of a seed are equal; among ten seeds there are different orders."""
    agents = [mock_agent(f"agent-{number}", 2) for number in range(4)]
    orders = [SyncTestScheduler(agents, seed=seed).run().order for seed in range(10)]
    assert orders == [SyncTestScheduler(agents, seed=seed).run().order for seed in range(10)]
    assert len({*map(tuple, orders)}) > 1


def test_slots_are_held_for_the_duration_and_given_back_by_the_time() -> None:
    """Two slots, of which a long task keeps one: the short ones follow each other on the other."""
    agents = [mock_agent("long", weight=9.0, duration=2.5), mock_agent("short", tasks=3)]
    result = SyncTestScheduler(agents, mock_resource(capacity=2)).run()
    found = [(grant.agent_id, grant.slot, grant.time) for grant in result.grants]
    assert found == [("long", 0, 0), ("short", 1, 0), ("short", 1, 1), ("short", 1, 2)]
    assert (result.time, result.ticks, result.capacity) == (3.0, 4, 2)
    assert result.utilization == pytest.approx(5.5 / 6)


def test_tasks_come_when_they_are_due() -> None:
    """`at` and `every`; a slot that falls free at that very moment was given on before."""
    agents = [mock_agent("batch", tasks=4), mock_agent("webhook", 2, at=1.0, every=0.5)]
    result = SyncTestScheduler(agents, optimize_for="latency").run()
    times = {(grant.agent_id, grant.time): grant.waited_seconds for grant in result.grants}
    assert [time for agent, time in times if agent == "webhook"] == [4.0, 5.0]
    assert times["webhook", 4.0] == 3.0
    assert times["webhook", 5.0] == 3.5


def test_steps_tell_grants_and_releases_one_by_one() -> None:
    """A release comes before the grant that it made possible; None when all is done."""
    scheduler = SyncTestScheduler([mock_agent("a", tasks=2)])
    steps = [scheduler.step() for _ in range(5)]
    assert [step and step.kind for step in steps] == ["granted", "released"] * 2 + [None]
    first, second = steps[0], steps[1]
    assert isinstance(first, GrantStep)
    assert isinstance(second, ReleaseStep)
    assert (first.number, first.tick, first.time) == (1, 0, 0.0)
    assert (second.number, second.tick, second.time) == (1, 1, 1.0)
    assert repr(scheduler) == (
        "<SyncTestScheduler 'mock' time=2 tick=2 to_come=0 waiting=0 held=0/1>"
    )


def test_tasks_submitted_between_steps_compete_from_then_on() -> None:
    """They have what the agent was listed with, unless they say otherwise."""
    scheduler = SyncTestScheduler(
        [mock_agent("batch", tasks=3), mock_agent("webhook", tasks=0, duration=0.5)],
        optimize_for="throughput",
    )
    scheduler.step()
    scheduler.submit("webhook", weight=50.0)
    assert [step and step.kind for step in (scheduler.step(), scheduler.step())] == [
        "released",
        "granted",
    ]
    assert scheduler.result().order == ["batch", "webhook"]
    scheduler.step()  # a release, and the grant that is decided with it
    scheduler.submit("newcomer", tasks=2, weight=99.0, duration=0.25)
    result = scheduler.run()
    assert result.order == ["batch", "webhook", "batch", "newcomer", "newcomer", "batch"]
    assert {grant.agent_id: grant.duration for grant in result.grants} == {
        "batch": 1.0,
        "webhook": 0.5,
        "newcomer": 0.25,
    }


def test_scores_are_those_of_the_next_choice() -> None:
    """L(i) of each agent that has something queued: depth counts at once, age with each tick."""
    scheduler = SyncTestScheduler([mock_agent("a", tasks=3), mock_agent("b")], alpha=0.25)
    assert scheduler.scores() == {}
    scheduler.step()
    assert scheduler.scores() == {"a": 0.25, "b": 0.125}
    scheduler.step()
    scheduler.step()
    assert scheduler.scores() == {"a": 1.0, "b": 1.0}


def test_a_cap_and_a_rate_hold() -> None:
    """An agent with a cap leaves slots to others; a rate spaces grants on the virtual clock."""
    capped = [mock_agent("capped", tasks=3, weight=5.0, max_concurrency=1), mock_agent("free")]
    result = SyncTestScheduler(capped, mock_resource(capacity=3)).run()
    assert result.order == ["capped", "free", "capped", "capped"]
    paced = SyncTestScheduler([mock_agent("a", 3)], mock_resource(3, rpm=30, rpm_burst=1)).run()
    assert [round(grant.time, 3) for grant in paced.grants] == [0.0, 2.0, 4.0]
    tokens = mock_resource(3, tpm=600, tpm_burst=100)
    spaced = SyncTestScheduler([mock_agent("a", 3, tokens=100)], tokens).run()
    assert [round(grant.time, 3) for grant in spaced.grants] == [0.0, 10.0, 20.0]


def test_auto_tune_changes_alpha() -> None:
    """As on a server, alpha follows at each release."""
    agents = [mock_agent("old"), mock_agent("steady", 30, every=0.5)]
    scheduler = SyncTestScheduler(agents, auto_tune=True)
    assert scheduler.alpha == 0.25
    scheduler.run()
    assert scheduler.alpha != 0.25


def test_a_run_ends_where_it_is_told() -> None:
    """`until` stops the clock there; the next run goes on. Tasks that wait count as waiting."""
    agents = [mock_agent("heavy", 50, weight=100.0), mock_agent("light")]
    with pytest.warns(UserWarning, match="starves"):
        scheduler = SyncTestScheduler(agents, alpha=1.0)
    result = scheduler.run(until=10.5)
    assert (result.time, result.ticks, len(result.grants)) == (10.5, 10, 11)
    assert result.utilization == pytest.approx(1.0)
    assert result.starved == ("light",)
    assert result.waiting["light"] == (10,)
    assert result.waits["light"] == []
    assert result.max_wait == 10
    with pytest.raises(AssertionError, match=r"'light' has 1 of 1 tasks waiting, .* 10 ticks"):
        result.assert_served("light")
    whole = scheduler.run()
    assert whole.starved == ()
    assert whole.waiting == {}
    whole.assert_served("light", within_ticks=50)


def test_figures_of_waits() -> None:
    """Mean and longest wait, Jain's index of the agents' mean waits."""
    agents = [mock_agent("a", 2), mock_agent("b", 2)]
    result = SyncTestScheduler(agents).run()
    assert result.order == ["a", "b", "a", "b"]
    assert (result.max_wait, result.mean_wait) == (3, 1.5)
    means = (1.0, 2.0)
    assert result.fairness == pytest.approx(sum(means) ** 2 / (2 * sum(m * m for m in means)))


def test_nothing_to_play() -> None:
    """No tasks, or no slots, are no error; figures of nothing are neutral."""
    empty = SyncTestScheduler().run()
    assert (empty.order, empty.max_wait, empty.mean_wait) == ([], 0, 0.0)
    assert (empty.utilization, empty.fairness, empty.starved) == (0.0, 1.0, ())
    none = SyncTestScheduler([mock_agent("a")], mock_resource(capacity=0)).run()
    assert (none.order, none.starved) == ([], ("a",))


def test_a_task_may_take_no_time() -> None:
    """Its slot is given on at the same moment."""
    result = SyncTestScheduler([mock_agent("a", 3, duration=0.0)]).run()
    assert [(grant.time, grant.tick) for grant in result.grants] == [(0, 0), (0, 1), (0, 2)]
    assert result.utilization == 0.0


def test_an_assertion_says_what_was_found() -> None:
    """Which grant waited too long, or which agents there were."""
    result = SyncTestScheduler(BOTH).run()
    result.assert_served("webhook", within_ticks=6)
    with pytest.raises(AssertionError, match="waited 6 ticks for grant 2 of 2, allowed are 5"):
        result.assert_served("webhook", within_ticks=5)
    with pytest.raises(AssertionError, match="'webhok' had no task; .* 'batch', 'webhook'"):
        result.assert_served("webhok")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mock_agent(""), "agent id must not be empty"),
        (lambda: mock_agent("a", tasks=-1), "tasks must be an int from 0 to 100,000, got -1"),
        (lambda: mock_agent("a", weight=0.5), "weight must be a number from 1 to 1e+09, got 0.5"),
        (lambda: mock_agent("a", duration=-1), "duration must be a number of seconds"),
        (lambda: mock_agent("a", every=float("nan")), "every must be a number of seconds"),
        (lambda: mock_agent("a", max_concurrency=True), "max_concurrency must be an int"),
        (lambda: mock_resource(capacity=-1), "capacity must be an int from 0"),
        (lambda: SyncTestScheduler(["a"]), "agents must be made by mock_agent"),
        (lambda: SyncTestScheduler([mock_agent("a")] * 2), "agent 'a' twice"),
        (lambda: SyncTestScheduler([], SharedResource("x")), "resource must have a capacity"),
        (lambda: SyncTestScheduler([], alpha=2), "alpha must be a number from 0 to 1"),
        (lambda: SyncTestScheduler([], optimize_for="speed"), "optimize_for must be 'latency'"),
        (lambda: SyncTestScheduler().run(until=-1), "until must be a number of seconds"),
        (lambda: SyncTestScheduler().submit("a", tasks=1.5), "tasks must be an int"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(make: Any, text: str) -> None:
    """ValueError with the value and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        make()
    assert "\n" not in str(caught.value)
