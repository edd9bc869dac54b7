"""The demo's judgement: it passes a good run, and names each promise that did not hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loco_redis.cli.play._demo_story import Kill, Story
from tests.cli.play.stories import TASK, durable, good_story, granted, holder, released, snapshot


def broken(story: Story) -> list[str]:
    return [finding.promise for finding in story.findings() if not finding.held]


def test_a_good_run_keeps_every_promise() -> None:
    """Slots came back within the bound, and the durable task was done by the other worker."""
    story = good_story()
    assert broken(story) == []
    assert story.at_rest()
    assert story.reclaim_time() == pytest.approx(2.0)
    assert [(row.agent, row.grants, row.cost) for row in story.figures()] == [
        ("batch", 2, 3.0),
        ("chat", 1, 2.0),
    ]


def too_many_holders(story: Story) -> None:
    story.see(snapshot(peak=3), 104.0)


def two_on_one_slot(story: Story) -> None:
    story.hear("worker-1", {"event": "asked", "request": 3})
    story.hear("worker-1", granted(1, 4, 103.2))
    story.hear("worker-1", released(4, 103.3))


def late_reclaim(story: Story) -> None:
    story.reclaimed_at = 101.0 + 3.6


def never_reclaimed(story: Story) -> None:
    story.reclaimed_at = None


def task_served_by_two(story: Story) -> None:
    story.hear("worker-1", {"event": "asked", "request": 3})
    story.hear("worker-1", granted(0, 4, 104.0, **durable(3)))
    story.hear("worker-1", released(4, 104.5))


def task_never_completed(story: Story) -> None:
    story.hear("worker-1", {"event": "submitted", "task": "s1:2", "label": "batch-1.1"})


def request_never_served(story: Story) -> None:
    story.hear("worker-1", {"event": "asked", "request": 3})


def slot_left_behind(story: Story) -> None:
    story.see(snapshot(holder(0, 9, "s1", "chat")), 104.0)


@pytest.mark.parametrize(
    ("spoil", "promise"),
    [
        (too_many_holders, "never more holders than slots"),
        (two_on_one_slot, "one holder per slot, tokens rising"),
        (late_reclaim, "slots of the killed worker came back"),
        (never_reclaimed, "slots of the killed worker came back"),
        (task_served_by_two, "every durable task completed once"),
        (task_never_completed, "every durable task completed once"),
        (request_never_served, "nothing lost, nothing left behind"),
        (slot_left_behind, "nothing lost, nothing left behind"),
    ],
)
def test_a_broken_promise_is_named(spoil: Callable[[Story], None], promise: str) -> None:
    """Each fault breaks its own promise and no other."""
    story = good_story()
    spoil(story)
    assert broken(story) == [promise]


def test_without_a_kill_nothing_was_shown() -> None:
    """A demo in which nobody could be killed has not held its promise."""
    story = Story(started=0.0, capacity=2, reclaim_bound=3.5, pids={})
    assert broken(story) == ["slots of the killed worker came back"]


def test_a_release_that_the_dead_worker_could_not_tell() -> None:
    """A task it had finished is completed, although its last words are missing."""
    story = Story(started=0.0, capacity=2, reclaim_bound=3.5, pids={11: "worker-1", 12: "worker-2"})
    story.hear("worker-2", granted(0, 1, 1.0, **durable(1)))
    story.saw_kill(Kill(2.0, "worker-2", "s2", (holder(1, 7, "s2", "chat"),)))
    assert story.completed == {TASK: 1}


def test_a_dead_worker_gets_slots_until_its_lease_runs_out() -> None:
    """Slots given to its waiting requests after its death count as its own, too."""
    story = Story(started=0.0, capacity=2, reclaim_bound=3.5, pids={12: "worker-2"})
    first, second = holder(0, 1, "s2", "batch", TASK), holder(1, 2, "s2", "chat")
    story.saw_kill(Kill(1.0, "worker-2", "s2", (first,)))
    story.see(snapshot(first, second), 2.0)
    story.see(snapshot(second), 2.5)
    assert story.reclaimed_at is None
    story.see(snapshot(), 3.0)
    assert story.reclaimed_at == 3.0
    assert sorted(story.dead) == [1, 2]
