"""A resource of a group goes by its full name, `group/name`, everywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

import loco_redis
from loco_redis import AsyncLOCOScheduler, LOCOScheduler, SharedResource
from loco_redis._keys import Keys
from loco_redis._rights import OPTIONAL, WORKER, acl_rules
from loco_redis._scripts import library
from loco_redis.config import Settings
from loco_redis.metrics.prometheus import PrometheusExporter
from loco_redis.observe import Link, Observer, resource_names
from loco_redis.orchestration.pools.pool import ResourcePool
from tests.cli.calls import invoke
from tests.metrics.scraping import scraped
from tests.orchestration.pools.conftest import Pools, apart
from tests.servers import Server
from tests.waiting import eventually

GPU = SharedResource("gpu", 2, group="g")


def test_a_group_is_part_of_the_full_name() -> None:
    """Said in one word or in two; without a group nothing is added."""
    assert GPU.full_name == "g/gpu"
    assert SharedResource("g/gpu", 2) == GPU
    assert SharedResource("g/gpu", 2, group="g") == GPU
    assert SharedResource("gpu").full_name == SharedResource("gpu").name == "gpu"
    assert Settings.of(name="g/gpu").name == "g/gpu"


@pytest.mark.parametrize("name", ["/gpu", "g/", "g/h/gpu", "g /gpu", f"{'x' * 65}/gpu", "g}/gpu"])
def test_wrong_full_names_are_refused(name: str) -> None:
    """Two names as those of resources, and one slash."""
    with pytest.raises(ValueError, match="^resource name must be 1 to 64 .+ as group/name, got"):
        SharedResource(name)
    with pytest.raises(ValueError, match="^name must be 1 to 64 characters"):
        Settings.of(name=name)


@pytest.mark.parametrize("group", ["", "a/b", "a b", 3])
def test_wrong_groups_are_refused(group: Any) -> None:
    """In the words of the argument."""
    with pytest.raises(ValueError, match="^group must be 1 to 64 characters"):
        SharedResource("gpu", group=group)


def test_two_groups_are_refused() -> None:
    """One in the name, and another one."""
    with pytest.raises(ValueError, match="two groups, 'g' and 'h': give one"):
        SharedResource("g/gpu", group="h")


def test_the_keys_of_a_group_share_a_slot() -> None:
    """The group is the hash tag; no key of one resource is a key of another."""
    gpu, llm, alone, same = Keys("g/gpu"), Keys("g/llm"), Keys("gpu"), Keys("g")
    assert gpu.vars == b"loco:{g}:gpu:vars"
    assert gpu.channel == b"loco:{g}:gpu:hint:"
    assert alone.vars == b"loco:{gpu}:vars"
    every = [*gpu.all, *llm.all, *alone.all, *same.all]
    assert len(set(every)) == len(every)


def test_the_commands_take_a_full_name(server: Server) -> None:
    """Looking, changing, and taking away."""
    with LOCOScheduler(resource=GPU, redis=server.url, events=100) as scheduler:
        with scheduler.acquire("webhook"):
            looks = "status", "holders", "waiters", "agents", "sessions", "doctor", "events"
            for command in looks:
                result = invoke(command, "-u", server.url, "-n", "g/gpu", "--json")
                assert result.exit_code == 0, (command, result.output)
            assert "g/gpu" in invoke("resources", "-u", server.url).output
            assert invoke("status", "-u", server.url, "--json").exit_code == 0  # the only one
        for command in (
            ["config", "set", "capacity=3", "--yes"],
            ["pause"],
            ["resume"],
            ["reap", "-y"],
        ):
            result = invoke(*command, "-u", server.url, "-n", "g/gpu")
            assert result.exit_code == 0, (command, result.output)
    shown = json.loads(invoke("status", "-u", server.url, "-n", "g/gpu", "--json").output)
    assert "g/gpu" in json.dumps(shown)
    assert invoke("purge", "-u", server.url, "-n", "g/gpu", "--yes").exit_code == 0
    assert not server.client.keys("loco:{g}:*")
    refused = invoke("status", "-u", server.url, "-n", "g/h/gpu")
    assert refused.exit_code == 2
    assert "resource name must be" in refused.output


async def test_figures_carry_the_full_name(pools: Pools) -> None:
    """The registry, an observer, and the label of every metric."""
    pool = pools(GPU)
    async with pool.acquire_multiple("webhook", ["gpu"]):
        with Link(pools.server.url) as link:
            assert resource_names(link) == ["g/gpu"]
            assert Observer(link, "g/gpu").snapshot().held == 1
        with PrometheusExporter(pool.get("gpu")) as exporter:
            found = await scraped(exporter.start(port=0))
        assert found.one("loco_redis_holders") == 1
        assert 'loco_redis_holders{resource="g/gpu"}' in found.text


async def test_settings_change_under_a_full_name(pools: Pools) -> None:
    """reconfigure validates what it is given together with the name."""
    pool = pools(GPU)
    assert await pool.primary.reconfigure(capacity=3, rpm=100) == 2
    assert (await pool.primary.snapshot(0)).name == "g/gpu"


async def test_the_one_line_functions_take_a_full_name(server: Server) -> None:
    """`configure(resource_name="g/gpu")`."""
    loco_redis.configure(redis=server.url, resource_name="g/gpu", capacity=1)
    try:
        assert await loco_redis.wrap(_seven, agent_id="a") == 7
        assert server.client.smembers("loco:resources") == {b"g/gpu"}
    finally:
        await loco_redis.reset()


async def _seven() -> int:
    return 7


@pytest.fixture
def grouped_user(server: Server) -> Iterator[str]:
    """A user with the rights of docs/security.md for the keys of one group only."""
    words = acl_rules((*WORKER, *OPTIONAL)).replace("loco:*", "loco:{g}:*").split()
    server.client.execute_command(
        "ACL", "SETUSER", "grouped", "reset", "on", ">secret", "resetkeys", "-@all", *words
    )
    yield server.url.replace("unix://", "unix://grouped:secret@")
    server.client.execute_command("ACL", "DELUSER", "grouped")


async def test_the_rights_of_one_group_are_enough(grouped_user: str) -> None:
    """`~loco:{g}:* &loco:{g}:*`: schedulers, the line, its hints; and nothing of others."""
    async with ResourcePool(redis=grouped_user, lease_ttl=2.0) as pool:
        pool.add(GPU)
        pool.add(SharedResource("llm", 1, group="g"))
        async with pool.acquire_multiple("a", ["gpu", "llm"]):
            waiting = apart(_take(pool))
            line = pool._lines["g"]
            await eventually(lambda: line._inbox is not None and line._inbox._subscribed)
        await asyncio.wait_for(waiting, 5)
    with redis.Redis.from_url(grouped_user) as client, pytest.raises(NoPermissionError):
        client.hget(Keys("h/gpu").vars, "config")


async def _take(pool: ResourcePool) -> None:
    async with pool.acquire_multiple("b", ["llm", "gpu"]):
        pass


async def test_functions_serve_a_full_name(server: Server) -> None:
    """The library knows no names: its functions are given the keys."""
    try:
        server.client.function_load(library().text, replace=True)
        resource = SharedResource("gpu", 1, group="g")
        async with AsyncLOCOScheduler(
            resource=resource, redis=server.url, scripts="functions"
        ) as scheduler:
            async with scheduler.acquire("a") as lease:
                assert lease.name == "g/gpu"
    finally:
        server.client.function_flush()
