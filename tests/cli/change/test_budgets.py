"""`loco-redis budgets`: limits and accounts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loco_redis import BudgetExceededError, Task
from tests.cli.calls import invoke
from tests.cli.change.talking import talk
from tests.cli.fleets import Fleet


def listed(fleet: Fleet) -> dict[str, Any]:
    result = invoke("budgets", "--json", "-u", fleet.url)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def set_(fleet: Fleet, *arguments: str) -> str:
    result = invoke("budgets", "set", *arguments, "-u", fleet.url)
    assert result.exit_code == 0, result.output
    return result.output


def test_without_budgets(fleet_at_work: Fleet) -> None:
    found = listed(fleet_at_work)
    assert (found["default_limit"], found["mode"], found["period"]) == (None, "reject", None)
    assert found["budgets"] == []
    assert "llm_api has no budgets" in invoke("budgets", "-u", fleet_at_work.url).output


def test_the_default_holds_for_the_fleet(fleet_at_work: Fleet) -> None:
    """It stays when the operator's process has gone; what is not given stays as it was."""
    set_(fleet_at_work, "--limit", "50", "--mode", "alert", "--period", "day")
    output = set_(fleet_at_work, "--mode", "reject")
    assert output == "by default an agent may spend 50 a day; beyond its limit: refused\n"
    found = listed(fleet_at_work)
    assert (found["default_limit"], found["mode"], found["period"]) == (50.0, "reject", "day")
    with pytest.raises(BudgetExceededError):
        fleet_at_work.holder.submit_task("batch", Task(cost=51.0))
    set_(fleet_at_work, "--period", "90.5")
    assert listed(fleet_at_work)["period"] == 90.5


def test_all_is_off_again(fleet_at_work: Fleet) -> None:
    """As before anybody had set a budget: the scripts look at none."""
    set_(fleet_at_work, "--limit", "50", "--mode", "downgrade", "--period", "month")
    set_(fleet_at_work, "--limit", "none", "--mode", "reject", "--period", "none")
    found = listed(fleet_at_work)
    assert (found["default_limit"], found["mode"], found["period"]) == (None, "reject", None)
    fleet_at_work.holder.submit_task("batch", Task(cost=51.0))
    assert listed(fleet_at_work)["budgets"] == []


def test_an_agent_has_its_own_limit(fleet_at_work: Fleet) -> None:
    set_(fleet_at_work, "--limit", "50")
    output = set_(fleet_at_work, "batch", "--limit", "7.5")
    assert output == (
        "batch may spend 7.5 (its own limit); 0 is spent, unsettled or reserved, 7.5 is left\n"
    )
    fleet_at_work.holder.submit_task("batch", Task(cost=5.0))
    fleet_at_work.holder.submit_task("report", Task(cost=5.0))
    rows = listed(fleet_at_work)["budgets"]
    assert [row["agent_id"] for row in rows] == ["batch", "report"], "the fullest first"
    assert rows[0] == {
        "agent_id": "batch", "limit": 7.5, "own_limit": True, "spent": 0.0, "unsettled": 0.0,
        "reserved": 5.0, "left": 2.5, "over": 0.0,
    }  # fmt: skip
    assert (rows[1]["limit"], rows[1]["own_limit"]) == (50.0, False)
    assert "(the default)" in set_(fleet_at_work, "batch", "--limit", "none")


def test_accounts_as_a_table(fleet_at_work: Fleet) -> None:
    """Rows that do not fit are counted; names cannot colour the terminal."""
    set_(fleet_at_work, "--limit", "1234.5")
    for agent in ("a\x1b[31m", "b", "c"):
        fleet_at_work.holder.submit_task(agent, Task(cost=2.25))
    result = invoke("budgets", "list", "--limit", "2", "-u", fleet_at_work.url)
    assert "by default an agent may spend 1,234.5 in all" in result.output
    assert "a\\x1b[31m   1,234.5" in result.output
    assert "1 more: --limit 3" in result.output
    assert "\x1b" not in result.output
    one = invoke("budgets", "list", "--agent", "b", "-u", fleet_at_work.url).output
    assert "b" in one.split()
    assert "c" not in one.split()


def _spend(fleet: Fleet, agent: str, cost: float) -> None:
    fleet.holder.reconfigure(capacity=20)
    with fleet.holder.acquire(agent, Task(cost=cost), nested="allow", timeout=5.0):
        pass


def test_what_was_spent_is_forgotten(fleet_at_work: Fleet) -> None:
    set_(fleet_at_work, "--limit", "50")
    for agent, cost in (("batch", 3.0), ("report", 4.5)):
        _spend(fleet_at_work, agent, cost)
    told = talk("y", "budgets", "reset", "batch", "-u", fleet_at_work.url)
    assert "has spent 3 and left 0 unsettled" in told
    assert told.endswith("exit 0")
    # An account with nothing in it is none.
    assert [row["agent_id"] for row in listed(fleet_at_work)["budgets"]] == ["report"]
    _spend(fleet_at_work, "batch", 3.0)
    result = invoke("budgets", "reset", "--all", "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "forget that 2 agents have spent 7.5 in all",
        "done: 2 accounts set back",
    ]
    assert listed(fleet_at_work)["budgets"] == []


def test_nothing_to_forget(fleet_at_work: Fleet) -> None:
    set_(fleet_at_work, "--limit", "50")
    for arguments, whose in [(("batch",), "batch has not"), (("--all",), "no agent has")]:
        result = invoke("budgets", "reset", *arguments, "--yes", "-u", fleet_at_work.url)
        assert result.exit_code == 1
        assert result.output == f"Error: nothing to reset: {whose} spent anything\n"


def test_mistakes(fleet_at_work: Fleet) -> None:
    for arguments, message in [
        (("set",), "give --limit, --mode or --period"),
        (("set", "batch", "--mode", "alert"), "the same for all agents"),
        (("set", "batch", "--limit", "5", "--period", "0"), "the same for all agents"),
        (("set", "--limit", "-3"), "default_limit must be a number from 0"),
        (("set", "--limit", "nan"), "default_limit must be a number from 0"),
        (("set", "--limit", "lots"), "'lots' is not a number or none"),
        (("set", "batch", "--limit", "-3"), "max_cost must be a number from 0"),
        (("set", "", "--limit", "3"), "agent id must not be empty"),
        (("set", "--period", "week"), "'week' is not day, month"),
        (("set", "--period", "0"), "period must be a number of seconds"),
        (("reset",), "give an AGENT, or --all"),
        (("reset", "batch", "--all"), "give an AGENT, or --all"),
        (("forget",), "No such command 'forget'"),
    ]:
        result = invoke("budgets", *arguments, LOCO_REDIS_URL=fleet_at_work.url)
        assert result.exit_code == 2, (arguments, result.output)
        assert message in result.output
        assert len(result.output.splitlines()) == 1
    assert listed(fleet_at_work)["default_limit"] is None
