"""The outside oracle finds what it is there to find."""

from __future__ import annotations

from loco_redis.cli.play._oracle import Held, most_at_once, violations


def test_a_slot_handed_on_is_held_by_one() -> None:
    """An end and a start at the same instant are no overlap."""
    held = [Held(0, 1, 0.0, 1.0), Held(0, 2, 1.0, 2.0), Held(1, 3, 0.5, 1.5)]
    assert violations(held) == []
    assert most_at_once(held) == 2


def test_overlap_on_one_slot_is_found() -> None:
    """Two holders of one slot at one moment are named by their tokens."""
    found = violations([Held(0, 1, 0.0, 2.0), Held(0, 2, 1.5, 3.0)])
    assert found == ["slot 0: token 2 began 0.500000 s before token 1 ended"]


def test_holders_of_different_slots_may_overlap() -> None:
    """N slots have N valid holders; their tokens rise per slot only."""
    assert violations([Held(0, 9, 0.0, 2.0), Held(1, 2, 1.0, 3.0)]) == []


def test_a_token_that_does_not_rise_is_found() -> None:
    """The later holder of a slot must have the higher token."""
    found = violations([Held(0, 5, 0.0, 1.0), Held(0, 4, 2.0, 3.0)])
    assert found == ["slot 0: token 4 follows 5, it must be higher"]


def test_nothing_held() -> None:
    """An empty run has neither holders nor violations."""
    assert most_at_once([]) == 0
    assert violations([]) == []
