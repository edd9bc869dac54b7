"""`loco-redis agents`, `waiters`, `sessions`, `tasks`, `dead`: the rows behind the status."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from loco_redis import Agent, Task
from loco_redis.cli.look import sessions
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.cli.look.tasks import kill_a_task
from tests.servers import Server


def listed(fleet: Fleet, *arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json", "-u", fleet.url)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    assert (found["schema"], found["resource"]) == (1, "llm_api")
    return found


def shown(fleet: Fleet, *arguments: str) -> str:
    result = invoke(*arguments, "-u", fleet.url)
    assert result.exit_code == 0, result.output
    return result.output


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["agent_id"] for row in rows]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("score", ["report", "batch", "quiet", "webhook"]),
        ("depth", ["report", "batch", "quiet", "webhook"]),
        ("waiting", ["batch", "report", "quiet", "webhook"]),
        ("holding", ["batch", "webhook", "report", "quiet"]),
        ("name", ["batch", "quiet", "report", "webhook"]),
    ],
)
def test_agents(fleet_at_work: Fleet, sort: str, expected: list[str]) -> None:
    """Everybody who competes, holds or is registered, by any column."""
    fleet_at_work.holder.register_agent(Agent("quiet", "idle one"))
    found = listed(fleet_at_work, "agents", "--sort-by", sort)
    assert names(found["agents"]) == expected
    batch = found["agents"][expected.index("batch")]
    assert (batch["queue_depth_weighted"], batch["waiting"], batch["holding"]) == (3.0, 3, 1)
    assert re.search(r"^quiet +idle one +0 ", shown(fleet_at_work, "agents"), re.M)


def test_agents_by_age(fleet_at_work: Fleet) -> None:
    """The oldest head first."""
    fleet_at_work.holder.release_handle(fleet_at_work.handles[1])
    fleet_at_work.wait("young")
    assert names(listed(fleet_at_work, "agents", "--sort-by", "age")["agents"])[0] == "batch"


def test_lists_are_cut_and_say_so(fleet_at_work: Fleet) -> None:
    """JSON has the total, tables how to see more."""
    found = listed(fleet_at_work, "agents", "--limit", "1")
    assert (found["total"], len(found["agents"])) == (3, 1)
    assert "3 more: --limit 4" in shown(fleet_at_work, "waiters", "--limit", "1")


def test_one_agent(fleet_at_work: Fleet) -> None:
    """Only its rows; one that is not there is no error."""
    assert names(listed(fleet_at_work, "agents", "--agent", "batch")["agents"]) == ["batch"]
    assert names(listed(fleet_at_work, "waiters", "--agent", "report")["waiters"]) == ["report"]
    assert "no such agent of llm_api" in shown(fleet_at_work, "agents", "--agent", "nobody")
    assert "nobody waits for a slot of" in shown(fleet_at_work, "waiters", "--agent", "nobody")


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("age", ["batch", "batch", "batch", "report"]),
        ("agent", ["batch", "batch", "batch", "report"]),
        ("weight", ["report", "batch", "batch", "batch"]),
    ],
)
def test_waiters(fleet_at_work: Fleet, sort: str, expected: list[str]) -> None:
    """The oldest first, or by agent or weight; with the process that waits."""
    rows = listed(fleet_at_work, "waiters", "--sort-by", sort)["waiters"]
    assert names(rows) == expected
    assert {row["pid"] for row in rows} == {os.getpid()}
    batch = [row["age"] for row in rows if row["agent_id"] == "batch"]
    assert batch == sorted(batch, reverse=True)


def test_sessions(fleet_at_work: Fleet) -> None:
    """What each process holds and waits for."""
    found = listed(fleet_at_work, "sessions")
    rows = {row["session"]: row for row in found["sessions"]}
    holder = rows[str(fleet_at_work.holder.session_id)]
    waiter = rows[str(fleet_at_work.waiter.session_id)]
    assert (holder["holding"], holder["waiting"]) == (2, 0)
    assert (waiter["holding"], waiter["waiting"]) == (0, 4)
    assert all(row["pid"] == os.getpid() and 5 < row["expires_in"] <= 10 for row in rows.values())
    assert found["quiet"] < 5
    (row,) = listed(fleet_at_work, "sessions", "--agent", "report")["sessions"]
    assert (row["session"], row["waiting"]) == (str(fleet_at_work.waiter.session_id), 1)
    assert str(os.getpid()) in shown(fleet_at_work, "sessions")


def test_silent_sessions_are_told() -> None:
    """They stay in Redis while no process is alive to remove them."""
    row = sessions.SessionRow("s1", "host", 7, 3.0, 1, 0)
    report = sessions.SessionsReport("llm", 1, 10.0, 70.0, [row])
    assert "heard of for 1m10s" in str(list(sessions.view(report).renderables)[-1])  # type: ignore[attr-defined]


@pytest.fixture
def tasks(server: Server) -> Iterator[tuple[Fleet, str]]:
    """Of `night`: one dead, one running, two queued, one of them with a payload; and the id of the
    dead one."""
    with Fleet(server.url, "llm_api", 1) as fleet:
        dead = kill_a_task(fleet, "night")
        fleet.holder.submit_task("night", Task(3.0))
        fleet.hold("night")
        fleet.holder.submit_task("night", Task(payload=b"secret"))
        fleet.holder.submit_task("other", Task(max_attempts=0))
        yield fleet, dead


def test_tasks(tasks: tuple[Fleet, str]) -> None:
    """The oldest first, with their states and attempts; never their payloads."""
    fleet, dead = tasks
    rows = listed(fleet, "tasks")["tasks"]
    assert [row["state"] for row in rows] == ["dead", "running", "queued", "queued"]
    assert [row["has_payload"] for row in rows] == [True, False, True, True]
    assert (rows[0]["task_id"], rows[0]["attempt"], rows[0]["max_attempts"]) == (dead, 1, 1)
    assert names(listed(fleet, "tasks", "--agent", "other")["tasks"]) == ["other"]
    assert len(listed(fleet, "tasks", "--state", "queued")["tasks"]) == 2
    text = shown(fleet, "tasks")
    assert re.search(r"night +dead +1 of 1 +2 +1 +its holder was gone$", text, re.M)
    assert re.search(r"night +running +1 of 3 +3 +0 *$", text, re.M)
    assert re.search(r"other +queued +0 +1 +0 *$", text, re.M)
    assert "secret" not in text + json.dumps(rows)


def test_dead(tasks: tuple[Fleet, str]) -> None:
    """With the way to try them again."""
    fleet, dead = tasks
    assert [row["task_id"] for row in listed(fleet, "dead")["tasks"]] == [dead]
    assert "loco-redis requeue TASK" in shown(fleet, "dead")
    assert shown(fleet, "dead", "--agent", "other").strip() == "no dead task of llm_api"
    assert "no such durable task" in shown(fleet, "tasks", "--agent", "nobody")


def test_names_cannot_move_the_cursor(server: Server) -> None:
    """Nor are they markup."""
    with Fleet(server.url, "llm_api", 1) as fleet:
        fleet.holder.submit_task("\x1b[2J[red]x")
        fleet.hold("\x1b[2J[red]x")
        fleet.wait("\x1b[2J[red]x")
        for command in ("agents", "waiters", "tasks", "status", "holders"):
            text = shown(fleet, command)
            assert "\\x1b[2J[red]x" in text
            assert "\x1b" not in text
