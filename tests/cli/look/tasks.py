"""A durable task that has used up its attempts."""

from __future__ import annotations

from loco_redis import Task
from tests.cli.fleets import Fleet


def kill_a_task(fleet: Fleet, agent: str) -> str:
    """Its only attempt ends with the loss of its slot; returns its id."""
    task_id = fleet.holder.submit_task(agent, Task(2.0, max_attempts=1))
    fleet.holder.operations.release(fleet.hold(agent).lease.token)
    return str(task_id)
