"""`loco-redis holders` and `loco-redis resources`: what the fleet at work holds."""

from __future__ import annotations

import json
import re

import pytest

from loco_redis._keys import Keys
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.servers import Server


def test_holders_are_listed_with_their_process(fleet_at_work: Fleet) -> None:
    """The only resource of the server need not be named."""
    result = invoke("holders", "--json", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["resource"] == "llm_api"
    assert found["schema"] == 1
    assert [row["agent_id"] for row in found["holders"]] == ["webhook", "batch"]
    assert [row["token"] for row in found["holders"]] == [
        handle.lease.token for handle in fleet_at_work.handles
    ]
    assert all(row["host"] and row["pid"] for row in found["holders"])


def test_an_agent_may_be_picked(fleet_at_work: Fleet) -> None:
    result = invoke("holders", "--agent", "batch", "-u", fleet_at_work.url)
    assert "batch" in result.output
    assert "webhook" not in result.output


def test_resources_are_listed(fleet_at_work: Fleet) -> None:
    result = invoke("resources", "--json", "-u", fleet_at_work.url)
    (row,) = json.loads(result.output)["resources"]
    assert (row["name"], row["capacity"], row["held"], row["waiting"]) == ("llm_api", 2, 2, 4)
    assert row["live_sessions"] == 2


@pytest.mark.parametrize("name", ["status", "why", "holders", "agents"])
def test_what_a_newer_version_has_stored_is_told_so(server: Server, name: str) -> None:
    """Not taken for a resource that is not there."""
    server.client.sadd("loco:resources", "llm")
    server.client.hset(Keys("llm").vars, mapping={"schema": "99", "counters": "of another form"})
    told = invoke("resources", "-u", server.url).output
    assert re.search(r"llm\b.* of another version", told)
    result = invoke(name, *(["a"] if name == "why" else []), "-n", "llm", "-u", server.url)
    assert result.exit_code == 2
    assert "'llm' is of another version of loco-redis (schema 99" in result.output
    server.client.flushall()
