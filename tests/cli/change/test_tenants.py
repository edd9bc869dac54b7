"""`loco-redis tenants`: groups of agents with limits in common."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loco_redis import Task, TenantCostExceededError, TenantLimitError
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet


def listed(fleet: Fleet) -> list[dict[str, Any]]:
    result = invoke("tenants", "--json", "-u", fleet.url)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.output)["tenants"]
    return found


def set_(fleet: Fleet, *arguments: str) -> str:
    result = invoke("tenants", "set", *arguments, "-u", fleet.url)
    assert result.exit_code == 0, result.output
    return result.output


def test_limits_hold_for_the_fleet(fleet_at_work: Fleet) -> None:
    """They stay when the operator's process has gone."""
    output = set_(fleet_at_work, "acme", "--max-agents", "1", "--ceiling", "10")
    assert output == ("acme, a new tenant, has 1 agents, any number of slots, a ceiling of 10\n")
    fleet_at_work.holder.submit_task("acme/writer", Task(cost=4.0))
    with pytest.raises(TenantLimitError):
        fleet_at_work.holder.submit_task("acme/reader")
    with pytest.raises(TenantCostExceededError):
        fleet_at_work.holder.submit_task("acme/writer", Task(cost=7.0))
    assert listed(fleet_at_work) == [
        {
            "tenant_id": "acme", "agents": 1, "max_agents": 1, "spent": 0.0, "unsettled": 0.0,
            "reserved": 4.0, "ceiling": 10.0, "left": 6.0, "over": 0.0, "holding": 0,
            "max_slots": None,
        }
    ]  # fmt: skip


def test_what_is_not_given_stays(fleet_at_work: Fleet) -> None:
    set_(fleet_at_work, "acme", "--max-slots", "2", "--ceiling", "10")
    set_(fleet_at_work, "acme", "--max-agents", "5", "--ceiling", "none")
    (row,) = listed(fleet_at_work)
    assert (row["max_agents"], row["ceiling"], row["max_slots"]) == (5, None, 2)


def test_tenants_as_a_table(fleet_at_work: Fleet) -> None:
    """Slots and costs are counted, limited or not."""
    assert "llm_api has no tenants" in invoke("tenants", "-u", fleet_at_work.url).output
    set_(fleet_at_work, "acme", "--max-slots", "2")
    set_(fleet_at_work, "other")
    fleet_at_work.holder.reconfigure(capacity=20)
    with fleet_at_work.holder.acquire("other/x", Task(cost=2.5), nested="allow", timeout=5.0):
        pass
    fleet_at_work.hold("acme/x")
    fleet_at_work.hold("other/x")
    acme, other = invoke("tenants", "-u", fleet_at_work.url).output.splitlines()[2:]
    assert acme.split() == ["acme", "0", "1", "of", "2", "none", "0", "0", "0", "-"]
    assert other.split()[:5] == ["other", "0", "1", "none", "2.5"]


def test_a_tenant_is_forgotten(fleet_at_work: Fleet) -> None:
    """With its agents, not while they have work."""
    set_(fleet_at_work, "acme", "--ceiling", "10")
    task = fleet_at_work.holder.submit_task("acme/writer")
    result = invoke("tenants", "rm", "acme", "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    assert "agent 'acme/*' still has queued tasks" in result.output
    fleet_at_work.holder.cancel_task(task)
    result = invoke("tenants", "rm", "acme", "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "done: acme is forgotten"
    assert listed(fleet_at_work) == []
    result = invoke("tenants", "rm", "acme", "--yes", "-u", fleet_at_work.url)
    assert (result.exit_code, result.output) == (1, "Error: llm_api has no tenant acme\n")


def test_mistakes(fleet_at_work: Fleet) -> None:
    for arguments, message in [
        (("set", "a b"), "tenant id must be 1 to 64 characters"),
        (("set", "acme", "--ceiling", "-1"), "cost_ceiling must be a number from 0"),
        (("set", "acme", "--max-slots", "1.5"), "'1.5' is not a whole number or none"),
        (("set", "acme", "--max-slots", "-1"), "max_concurrency must be an int from 0"),
        (("rm", "acme"), "Error: llm_api has no tenant acme"),
    ]:
        result = invoke("tenants", *arguments, "-u", fleet_at_work.url)
        assert result.exit_code == (1 if arguments[0] == "rm" else 2), (arguments, result.output)
        assert message in result.output
    assert listed(fleet_at_work) == []
