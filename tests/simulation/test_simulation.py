"""The client under simulated faults: many seeds hold, the same seed is the same run, and a defect
that is planted is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loco_redis._grants import Grants
from loco_redis._heartbeat import Heartbeat
from loco_redis._ledger import Ledger
from loco_redis._outbox import Outbox
from loco_redis._replies import HeartbeatReply, Status
from loco_redis._scripts import Command
from tests.simulation.plan import Plan, plan_of
from tests.simulation.shrink import kind_of_failure, shrink
from tests.simulation.verdict import Failure
from tests.simulation.world import run

SEEDS, CHUNKS = 520, 4
TRIED_FOR_PLANTED = 200

Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_seeds(chunk: int) -> None:
    """All promises hold in each run; `python -m tests.simulation --seed N` shows one again."""
    failures: dict[int, Failure | None] = {}
    for seed in range(chunk, SEEDS, CHUNKS):
        failures[seed] = run(plan_of(seed)).failure
    failed = {seed: str(failure) for seed, failure in failures.items() if failure is not None}
    assert not failed


def test_a_seed_is_always_the_same_run() -> None:
    """Each step of it, in this process and in one with other hashes."""
    seeds = range(3, 9)
    hashes = [run(plan_of(seed)).trace_hash for seed in seeds]
    assert [run(plan_of(seed)).trace_hash for seed in seeds] == hashes
    program = (
        "from tests.simulation.plan import plan_of\nfrom tests.simulation.world import run\n"
        f"for seed in range({seeds.start}, {seeds.stop}): print(run(plan_of(seed)).trace_hash)"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.split() == hashes


def resend_under_a_new_id(patch: pytest.MonkeyPatch) -> None:
    """What has no reply is sent again as if it were another request."""
    recall = Outbox._recall

    def renamed(outbox: Outbox) -> None:
        for entry in outbox._inflight:
            if isinstance(entry.what, Command) and entry.script == "acquire":
                args = entry.what.args
                rid = f"{str(args[4])[:17]}{int(str(args[4])[17:]) + 1000:012d}"
                entry.what = replace(entry.what, args=(*args[:4], rid, *args[5:]))
        recall(outbox)

    patch.setattr(Outbox, "_recall", renamed)


def trust_hints_only(patch: pytest.MonkeyPatch) -> None:
    """What was missed is never asked for."""
    patch.setattr(Grants, "poll", lambda grants, **_: None)


def resurrect(patch: pytest.MonkeyPatch) -> None:
    """A session that has expired goes on as if it had not."""
    heard = Heartbeat._heard

    def deaf(beat: Heartbeat, ledger: Ledger, sent: float, answer: HeartbeatReply) -> float:
        if isinstance(answer, HeartbeatReply) and answer.status is Status.EXPIRED:
            return beat.period
        return heard(beat, ledger, sent, answer)

    patch.setattr(Heartbeat, "_heard", deaf)


def forget_to_give_back(patch: pytest.MonkeyPatch) -> None:
    """A request that is cancelled is forgotten here, but not in Redis."""
    patch.setattr("loco_redis._requests.Requests._cancel", lambda *_, **__: None)


@pytest.mark.parametrize(
    "plant", [resend_under_a_new_id, trust_hints_only, resurrect, forget_to_give_back]
)
def test_a_planted_defect_is_found_and_shrunk(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one of the first seeds, and fewer events show the same failure."""
    plant(monkeypatch)
    found = first_failure()
    assert found is not None
    plan, kind = found
    smaller = shrink(plan, kind)
    assert len(smaller.events) < len(plan.events)
    assert kind_of_failure(smaller) == kind
    monkeypatch.undo()
    assert kind_of_failure(smaller) is None


def first_failure() -> tuple[Plan, str] | None:
    for seed in range(TRIED_FOR_PLANTED):
        kind = kind_of_failure(plan := plan_of(seed))
        if kind is not None:
            return plan, kind
    return None
