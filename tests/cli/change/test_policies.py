"""`loco-redis policies`: access, rates and caps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loco_redis import AcquireTimeoutError, PolicyViolationError, Task
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet

NOTHING = {"access": [], "rate_default": None, "rate_period": None, "rates": [], "caps": []}


def listed(fleet: Fleet, *arguments: str) -> dict[str, Any]:
    result = invoke("policies", "list", "--json", *arguments, "-u", fleet.url)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    assert (found.pop("schema"), found.pop("resource")) == (1, "llm_api")
    return found


def do(fleet: Fleet, *arguments: str) -> str:
    result = invoke("policies", *arguments, "-u", fleet.url)
    assert result.exit_code == 0, result.output
    return result.output


def test_access_is_by_labels(fleet_at_work: Fleet) -> None:
    output = do(fleet_at_work, "set", "access", "intern", "public", "internal")
    assert output == "intern may work on: public, internal\n"
    assert listed(fleet_at_work)["access"] == [
        {"agent_id": "intern", "labels": ["public", "internal"]}
    ]
    secret = Task(labels={"input": "confidential"})
    with pytest.raises(PolicyViolationError, match="access"):
        fleet_at_work.holder.submit_task("intern", secret)
    output = do(fleet_at_work, "rm", "access", "intern", "--yes")
    assert output.splitlines()[-1] == "done: intern may work on data with any label"
    fleet_at_work.holder.submit_task("intern", secret)
    assert listed(fleet_at_work) == NOTHING


def test_no_label_at_all(fleet_at_work: Fleet) -> None:
    do(fleet_at_work, "set", "access", "intern", "--unlabelled")
    with pytest.raises(PolicyViolationError, match="access"):
        fleet_at_work.holder.submit_task("intern", Task(labels={"input": "public"}))
    fleet_at_work.holder.submit_task("intern")
    assert listed(fleet_at_work)["access"] == [{"agent_id": "intern", "labels": []}]
    assert "only tasks without labels" in invoke("policies", "-u", fleet_at_work.url).output


def test_rates_of_one_agent_and_of_all(fleet_at_work: Fleet) -> None:
    """The rate of one does not touch the default, nor that of another."""
    do(fleet_at_work, "set", "rate", "--limit", "100", "--period", "30")
    assert do(fleet_at_work, "set", "rate", "--agent", "batch", "--limit", "1") == (
        "batch: 1 tasks in 30s\n"
    )
    found = listed(fleet_at_work)
    assert (found["rate_default"], found["rate_period"]) == (100.0, 30.0)
    assert found["rates"] == [{"agent_id": "batch", "limit": 1.0}]
    fleet_at_work.holder.submit_task("batch")
    with pytest.raises(PolicyViolationError, match="rate"):
        fleet_at_work.holder.submit_task("batch")
    do(fleet_at_work, "rm", "rate", "--yes")
    found = listed(fleet_at_work)
    assert (found["rate_default"], found["rate_period"]) == (None, 30.0)
    do(fleet_at_work, "rm", "rate", "--agent", "batch", "--yes")
    assert listed(fleet_at_work) == NOTHING
    fleet_at_work.holder.submit_task("batch")


def test_a_period_is_not_changed_for_others(fleet_at_work: Fleet) -> None:
    """By the way: all rates have the same."""
    call = ("policies", "set", "rate", "--agent", "web", "--limit", "9", "--period", "3600")
    do(fleet_at_work, "set", "rate", "--agent", "batch", "--limit", "10")
    result = invoke(*call, "-u", fleet_at_work.url)
    assert result.exit_code == 2
    assert "the period is 1m00s for all rates, also of batch" in result.output
    do(fleet_at_work, "rm", "rate", "--agent", "batch", "--yes")
    assert invoke(*call, "-u", fleet_at_work.url).exit_code == 0
    assert listed(fleet_at_work)["rate_period"] == 3600.0


def test_caps(fleet_at_work: Fleet) -> None:
    """An agent waits at its cap; without one it goes on."""
    fleet_at_work.holder.reconfigure(capacity=20)
    assert do(fleet_at_work, "set", "cap", "solo", "0") == "solo may hold 0 slots at most\n"
    with pytest.raises(AcquireTimeoutError):
        fleet_at_work.hold("solo", timeout=0.05)
    assert listed(fleet_at_work)["caps"] == [{"agent_id": "solo", "max_slots": 0}]
    do(fleet_at_work, "rm", "cap", "solo", "--yes")
    fleet_at_work.hold("solo", timeout=5.0)


def test_policies_as_a_table(fleet_at_work: Fleet) -> None:
    assert "llm_api has no policies" in invoke("policies", "-u", fleet_at_work.url).output
    do(fleet_at_work, "set", "access", "in\ttern", "public")
    do(fleet_at_work, "set", "rate", "--limit", "100")
    do(fleet_at_work, "set", "rate", "--agent", "batch", "--limit", "10")
    do(fleet_at_work, "set", "cap", "batch", "2")
    output = invoke("policies", "-u", fleet_at_work.url).output
    assert [line.strip().split(maxsplit=1) for line in output.splitlines()[2:]] == [
        ["access", "in\\ttern     public"],
        ["rate", "all others   100 tasks in 1m00s"],
        ["rate", "batch        10 tasks in 1m00s"],
        ["cap", "batch        2 slots at most"],
    ]
    only = listed(fleet_at_work, "--agent", "batch")
    assert (only["access"], len(only["rates"]), len(only["caps"])) == ([], 1, 1)


def test_nothing_found(fleet_at_work: Fleet) -> None:
    for arguments, message in [
        (("access", "x"), "x has no access rule"),
        (("rate",), "all agents without a rate of their own had no rate"),
        (("rate", "--agent", "x"), "x has no rate of its own"),
        (("cap", "x"), "x has no cap"),
    ]:
        result = invoke("policies", "rm", *arguments, "--yes", "-u", fleet_at_work.url)
        assert (result.exit_code, result.output) == (1, f"Error: {message}\n")


def test_mistakes(fleet_at_work: Fleet) -> None:
    for arguments, message in [
        (("access", "intern"), "give LABELs, or --unlabelled"),
        (("access", "intern", "public", "--unlabelled"), "give LABELs, or --unlabelled"),
        (("access", "intern", ""), "a label of 'intern' must be a text"),
        (("rate", "--limit", "0"), "default_limit must be a number from 0.001"),
        (("rate", "--limit", "nan"), "default_limit must be a number from 0.001"),
        (("rate", "--limit", "5", "--period", "0"), "period must be a number of seconds"),
        (("cap", "x", "-1"), "No such option"),
        (("cap", "x", "many"), "'many' is not a valid integer"),
        (("cap", "x" * 513, "1"), "at most 512 are allowed"),
    ]:
        result = invoke("policies", "set", *arguments, LOCO_REDIS_URL=fleet_at_work.url)
        assert result.exit_code == 2, (arguments, result.output)
        assert message in result.output
    assert listed(fleet_at_work) == NOTHING
