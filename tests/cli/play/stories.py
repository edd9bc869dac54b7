"""A small demo's story, told by hand, for tests of its judgement and of its looks."""

from __future__ import annotations

from typing import Any

from loco_redis.cli.play._demo_story import Kill, Story
from loco_redis.snapshots import AgentSnapshot, Holder, SessionSnapshot, Snapshot
from tests.snapshots import made

PIDS = {11: "worker-1", 12: "worker-2"}
TASK = "s2:000000000001"


def holder(slot: int, token: int, session: str, agent: str, task: str | None = None) -> Holder:
    return Holder(slot, token, agent, session, f"{session}:x", task, 2.0, 1, 3, 0.5, 0.25)


def snapshot(*holders: Holder, peak: int = 2, agents: tuple[AgentSnapshot, ...] = ()) -> Snapshot:
    sessions = tuple(SessionSnapshot(f"s{pid - 10}", "host", pid, 2.0) for pid in PIDS)
    return made(
        name="demo",
        tick=5,
        alpha=0.25,
        capacity=2,
        lease_ttl=2.0,
        version=1,
        serial=9,
        held=len(holders),
        peak=peak,
        granted=3,
        released=2,
        reclaimed=1,
        effective_capacity=2,
        agents=agents,
        holders=holders,
        sessions=sessions,
    )


def granted(slot: int, token: int, start: float, **facts: Any) -> dict[str, Any]:
    return {
        "event": "granted",
        "request": token,
        "agent": "chat",
        "slot": slot,
        "token": token,
        "weight": 2.0,
        "waited": 0.5,
        "ticks": 3,
        "score": 0.75,
        "task": None,
        "label": None,
        "attempt": 0,
        "start": start,
        **facts,
    }


def released(token: int, end: float, cost: float = 2.0) -> dict[str, Any]:
    return {"event": "released", "token": token, "end": end, "cost": cost}


def durable(attempt: int) -> dict[str, Any]:
    return {"agent": "batch", "task": TASK, "label": "batch-2.1", "attempt": attempt}


def good_story() -> Story:
    """Two workers on two slots; worker-2 dies serving a durable task, which worker-1 does."""
    story = Story(started=100.0, capacity=2, reclaim_bound=3.5, pids=dict(PIDS))
    for worker in PIDS.values():
        story.hear(worker, {"event": "asked", "request": 1})
    story.hear("worker-2", {"event": "submitted", "task": TASK, "label": "batch-2.1"})
    story.hear("worker-1", granted(0, 1, 100.0))
    story.hear("worker-2", granted(1, 2, 100.1, **durable(1)))
    held = holder(1, 2, "s2", "batch", TASK)
    story.see(snapshot(held), 100.5)
    story.saw_kill(Kill(101.0, "worker-2", "s2", (held,)))
    story.see(snapshot(held), 101.5)
    story.hear("worker-1", released(1, 101.6))
    story.see(snapshot(), 103.0)
    story.hear("worker-1", {"event": "asked", "request": 2})
    story.hear("worker-1", granted(1, 3, 103.1, **durable(2)))
    story.hear("worker-1", released(3, 103.5, cost=3.0))
    story.hear("worker-1", {"event": "idle"})
    return story
