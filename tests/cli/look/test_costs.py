"""`loco-redis costs`: what was spent, and for whom."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from loco_redis import LOCOScheduler, SharedResource, Task
from tests.cli.calls import invoke
from tests.servers import Server


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """`webhook` has spent 1.5 for the team `core`, `batch` 4.5 for nobody."""
    with LOCOScheduler(resource=SharedResource("llm_api", capacity=1), redis=server.url) as work:
        with work.acquire("webhook", Task(team="core", model="small")) as lease:
            lease.settle(1.5)
        with work.acquire("batch", weight=4.5):
            pass
        yield server.url


def test_costs_by_agent_are_ordered_and_have_shares(url: str) -> None:
    """The highest first; the shares add up to the total."""
    found = json.loads(invoke("costs", "--json", "-u", url).output)
    assert found["by"] == "agent"
    assert found["total_cost"] == found["labelled_cost"] == 6.0
    assert found["costs"] == [
        {"name": "batch", "cost": 4.5, "share": 0.75},
        {"name": "webhook", "cost": 1.5, "share": 0.25},
    ]


@pytest.mark.parametrize(("by", "name"), [("team", "core"), ("model", "small")])
def test_costs_by_label_say_what_has_none(url: str, by: str, name: str) -> None:
    """What tasks without the label have cost is told beside."""
    found = json.loads(invoke("costs", "--by", by, "--json", "-u", url).output)
    assert [(row["name"], row["cost"]) for row in found["costs"]] == [(name, 1.5)]
    assert (found["total_cost"], found["labelled_cost"]) == (6.0, 1.5)
    lines = invoke("costs", "--by", by, "-u", url).output.splitlines()
    assert any(line.split() == [name, "1.500", "25.0%"] for line in lines)
    assert any(line.split() == ["without", "a", by, "4.500", "75.0%"] for line in lines)
    assert lines[-1] == "total 6.000"


def test_an_unused_label_is_explained(url: str) -> None:
    """Nothing has a workflow: it says which argument gives one."""
    assert "Task(workflow=...)" in invoke("costs", "--by", "workflow", "-u", url).output


def test_rows_are_cut_at_the_limit(url: str) -> None:
    """It says how many more there are."""
    output = invoke("costs", "--limit", "1", "-u", url).output
    assert "batch" in output
    assert "webhook" not in output
    assert "1 more: --limit 2" in output


def test_a_hostile_name_moves_no_cursor(url: str, server: Server) -> None:
    """Names are shown with their control characters spelled out, and are no markup."""
    server.client.hset("loco:{llm_api}:costs", "[red]\x1b[2Jx", 1000)
    output = invoke("costs", "-u", url).output
    assert "[red]\\x1b[2Jx" in output


def test_an_unknown_resource_is_refused(url: str) -> None:
    """Not an empty table."""
    result = invoke("costs", "-n", "nope", "-u", url)
    assert result.exit_code == 2
    assert "nope" in result.output
