"""Every order of events in a small world: two sessions, three requests, and each fault once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loco_redis._replies import Status
from loco_redis.testing import ops
from loco_redis.testing.model import Outcome, step
from loco_redis.testing.model_state import State, rid_of
from tests.exhaustive.search import Counterexample, search
from tests.exhaustive.server import Step
from tests.faults.conftest import Seen


@pytest.mark.slow
@pytest.mark.parametrize("capacity", [1, 2])
def test_every_order_of_events_is_sound(capacity: int, seen: Seen) -> None:
    """With a crash, a drop and a duplicate at any moment: the invariants hold, a request is granted
    at most once and not after its end, tokens rise, and the end is reached from everywhere, with
    nothing left."""
    report = search(capacity)
    assert report.ends
    seen(
        f"two sessions, three requests, capacity {capacity}, one crash, one drop, one duplicate: "
        f"{report.states:,} states, {report.transitions:,} transitions, up to {report.depth} deep",
        f"all sound; {report.ends} ends, with nothing held, waiting or buried",
    )


def forgetful_cancel(state: State, op: ops.Op, now: int) -> Outcome:
    """To cancel what is unknown leaves no tombstone."""
    before = set(state.tombstones)
    outcome = step(state, op, now)
    if isinstance(op, ops.Cancel) and outcome.reply.status is Status.FINISHED:
        state.tombstones &= before
    return outcome


def forgetful_release(state: State, op: ops.Op, now: int) -> Outcome:
    """A release leaves no tombstone."""
    before = set(state.tombstones)
    outcome = step(state, op, now)
    if isinstance(op, ops.Release):
        state.tombstones &= before
    return outcome


def blind_acquire(state: State, op: ops.Op, now: int) -> Outcome:
    """Acquire does not look its id up: a repeat is another request."""
    if isinstance(op, ops.Acquire):
        state.requests.pop(rid_of(op.session, op.sequence), None)
    return step(state, op, now)


def floorless_acquire(state: State, op: ops.Op, now: int) -> Outcome:
    """Acquire asks for tombstones only, and not whether its number is below the floor."""
    if isinstance(op, ops.Acquire) and op.session in state.sessions:
        state.sessions[op.session].floor = 0
        op = replace(op, floor=0)
    return step(state, op, now)


def uncounted_grants(state: State, op: ops.Op, now: int) -> Outcome:
    """What is granted is not counted for its session."""
    outcome = step(state, op, now)
    for row in state.sessions.values():
        row.delivered = 0
    return outcome


def idle_cancel(state: State, op: ops.Op, now: int) -> Outcome:
    """A cancel hands its slot on to nobody."""
    outcome = step(state, op, now)
    if isinstance(op, ops.Cancel) and outcome.reply.status is Status.OK:
        for request, _ in state.holders():
            request.lease = None
    return outcome


@pytest.mark.parametrize(
    "defect",
    [
        forgetful_cancel,
        forgetful_release,
        blind_acquire,
        floorless_acquire,
        uncounted_grants,
        idle_cancel,
    ],
    ids=lambda defect: defect.__name__,
)
def test_a_defect_has_a_counterexample(defect: Step, seen: Seen) -> None:
    """A model with a planted defect is caught, and the shortest way to it is told."""
    with pytest.raises(Counterexample) as caught:
        search(1, (1, 1), do=defect)
    print(caught.value)  # noqa: T201  for those who want to read it: pytest -s
    assert len(caught.value.trace) < 10
    seen(
        f"planted: {defect.__doc__}",
        f"caught by the event after {len(caught.value.trace)} others: {caught.value.what}",
    )


def test_lost_hints_need_polls() -> None:
    """Clients that do not ask for what a heartbeat counts can wait for ever, and the search sees
    it: a lost hint leaves a state that does not lead to the end."""
    with pytest.raises(Counterexample, match="the end") as caught:
        search(1, (1, 1), polls=False)
    assert len(caught.value.trace) >= 3
