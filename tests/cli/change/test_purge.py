"""`loco-redis purge`: a resource is deleted, exactly."""

from __future__ import annotations

import json

import redis

from loco_redis import BudgetPolicy, LOCOScheduler, SharedResource
from loco_redis._keys import Keys
from tests.cli.calls import invoke
from tests.cli.change.talking import talk
from tests.cli.fleets import Fleet
from tests.servers import Server


def _two_resources(url: str) -> None:
    """Both at rest."""
    for name in ("old_api", "old"):
        resource = SharedResource(name, capacity=2)
        budget = BudgetPolicy(default_limit=10)
        with LOCOScheduler(resource=resource, redis=url, budget=budget, events=100) as scheduler:
            with scheduler.acquire("webhook"):
                pass
            scheduler.submit_task("later")


def _names(url: str) -> list[str]:
    found = json.loads(invoke("resources", "--json", "-u", url).output)
    return [row["name"] for row in found["resources"]]


def _keys(client: redis.Redis, name: str) -> list[bytes]:
    return [key for key in Keys(name).all if client.exists(key)]


def test_its_keys_and_its_name_go(server: Server) -> None:
    """And nothing else, however much alike it is called."""
    _two_resources(server.url)
    others = {key: server.client.dump(key) for key in _keys(server.client, "old")}
    result = invoke("purge", "-n", "old_api", "--yes", "-u", server.url)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("delete old_api at ")
    assert lines[1:] == [
        "  0 slots held, 0 requests waiting",
        "  1 durable task",
        "  0 registered agents",
        "  its settings, rules, budgets, costs and other figures, and its events",
        "done: old_api is deleted",
    ]
    assert _names(server.url) == ["old"]
    assert _keys(server.client, "old_api") == []
    assert {key: server.client.dump(key) for key in _keys(server.client, "old")} == others


def test_not_while_it_is_in_use(fleet_at_work: Fleet) -> None:
    result = invoke("purge", "-n", "llm_api", "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    assert result.output.startswith("Error: in use by 2 sessions (")
    assert "reap --wait" in result.output
    assert fleet_at_work.observer.snapshot().held == 2


def test_force_deletes_what_is_in_use(server: Server) -> None:
    """It says under whom; a process that still runs makes it anew, with its settings."""
    with Fleet(server.url, "llm_api", capacity=3) as fleet:
        version = fleet.observer.snapshot().born
        result = invoke("purge", "-n", "llm_api", "--force", "--yes", "-u", server.url)
        assert result.exit_code == 0, result.output
        assert "under these processes, which make it anew if they still run:" in result.output
        fleet.hold("webhook")
        now = fleet.observer.snapshot()
        assert (now.capacity, now.held) == (3, 1)
        assert now.born > version


def test_it_asks(server: Server) -> None:
    _two_resources(server.url)
    assert talk("n", "purge", "-n", "old", "-u", server.url).endswith("exit 1")
    assert _names(server.url) == ["old", "old_api"]
    assert talk("y", "purge", "-n", "old", "-u", server.url).endswith("exit 0")
    assert _names(server.url) == ["old_api"]


def test_without_asking_it_must_be_named(server: Server) -> None:
    """The only resource of a server is not guessed."""
    _two_resources(server.url)
    assert invoke("purge", "-n", "old", "--yes", "-u", server.url).exit_code == 0
    result = invoke("purge", "--yes", "-u", server.url)
    assert result.exit_code == 2
    assert "name the resource by -n" in result.output
    assert _names(server.url) == ["old_api"]


def test_a_name_that_is_left(server: Server) -> None:
    """Its keys were removed by other means."""
    _two_resources(server.url)
    server.client.delete(*Keys("old").all)
    result = invoke("purge", "-n", "old", "--yes", "-u", server.url)
    assert result.exit_code == 0, result.output
    assert "nothing but its name" in result.output
    assert _names(server.url) == ["old_api"]
    result = invoke("purge", "-n", "old", "--yes", "-u", server.url)
    assert result.exit_code == 2
    assert "there is no resource 'old'" in result.output
