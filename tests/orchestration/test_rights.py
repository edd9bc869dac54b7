"""The parts of orchestration run with the rights that docs/security.md gives them: their scripts
sent by the client, and as functions without EVAL."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import redis

from loco_redis import (
    AsyncLOCOScheduler,
    Backend,
    BackendLibraryError,
    Plan,
    ResourcePool,
    Router,
    SharedContext,
    SharedResource,
    Step,
)
from loco_redis._library import Way
from loco_redis._rights import OPTIONAL, ORCHESTRATION, WORKER, acl_rules, under
from loco_redis._scripts import library
from loco_redis.orchestration.routing.settings import STRATEGIES
from tests.clusters import cluster_url
from tests.hardened import WITHOUT
from tests.servers import BINARIES, DEFAULT, Fleet, Server

__all__ = ["cluster_url"]

Where = dict[str, str]

LUA = resources.files("loco_redis.orchestration") / "lua"
PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")


def restricted(server: Server, way: Way) -> Where:
    """The URL of a user with just these rights, and how scripts are run by it."""
    rules = acl_rules(under(way, (*WORKER, *OPTIONAL, *ORCHESTRATION))).split()
    server.client.execute_command("ACL", "SETUSER", "op", "reset", "on", "nopass", *rules)
    return {"redis": server.url.replace("://", "://op:x@"), "scripts": way}


@pytest.fixture(
    params=[
        *(("eval", name) for name in BINARIES),
        *(("functions", name) for name in BINARIES if name not in WITHOUT),
    ],
    ids="-".join,
)
def where(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[Where]:
    """What `restricted` says, of each server in turn."""
    way, name = request.param
    server = fleet.flushed(name)
    if way == "functions":
        server.client.function_load(library().text, replace=True)
    yield restricted(server, way)
    server.client.execute_command("ACL", "DELUSER", "op")
    if way == "functions":
        server.client.function_flush()


def test_the_page_has_the_rule() -> None:
    """The line to paste names exactly what is needed besides a worker's rights."""
    (line,) = re.findall(r"^    ACL SETUSER worker (\+.*)$", PAGE, re.MULTILINE)
    assert tuple(sorted(word[1:].upper() for word in line.split())) == ORCHESTRATION


@pytest.mark.parametrize("part", ["pools", "plans", "routing", "contexts"])
def test_scripts_call_what_they_may(part: str) -> None:
    texts = [file.read_text("utf-8") for file in (LUA / part).iterdir()]
    called = {name for text in texts for name in re.findall(r"redis\.call\('([A-Z]+)'", text)}
    assert called
    assert called <= {*WORKER, *ORCHESTRATION}


async def a_plan(where: Where) -> None:
    async with AsyncLOCOScheduler(
        resource=SharedResource("llm", capacity=1), backend_timeout=2.0, **where
    ) as scheduler:

        async def work(context: Any) -> str:
            return f"{context.step.name} done"

        plan = Plan([Step("a", agent="x"), Step("b", agent="x", depends_on=["a"])])
        result = await plan.run(scheduler, {"*": work})
        assert result.results == {"a": "a done", "b": "b done"}


async def a_router(where: Where) -> None:
    backends = [Backend("one", capacity=1, cost=1), Backend("two", capacity=1, cost=2)]
    for strategy in STRATEGIES:
        async with Router(
            "models", backends, strategy=strategy, backend_timeout=2.0, **where
        ) as router:
            async with router.route("agent", "key") as route:
                assert route.backend.name in ("one", "two")
            assert [row.in_flight for row in (await router.snapshot()).backends] == [0, 0]


async def a_pool(where: Where) -> None:
    async with ResourcePool(backend_timeout=2.0, **where) as pool:
        pool.add(SharedResource("llm", capacity=1, group="g"))
        pool.add(SharedResource("gpu", capacity=1, group="g"))
        async with pool.acquire_multiple("agent", ["llm", "gpu"], timeout=5) as leases:
            assert set(leases) == {"llm", "gpu"}


async def a_context(where: Where) -> None:
    context = SharedContext("team", ttl=60, backend_timeout=2.0, **where)
    try:
        await context.set("colour", "blue")
        assert await context.snapshot() == {"colour": "blue"}
        await context.delete("colour")
        await context.clear()
    finally:
        await context.aclose()


PARTS = pytest.mark.parametrize("part", [a_plan, a_router, a_pool, a_context])
Part = Callable[[Where], Awaitable[None]]


@PARTS
async def test_a_part_with_these_rights(part: Part, where: Where) -> None:
    await part(where)


@PARTS
async def test_a_part_in_a_cluster(part: Part, cluster_url: str) -> None:
    """All keys of a call share a slot; functions are found there, too."""
    with redis.RedisCluster.from_url(cluster_url.replace("redis+cluster", "redis")) as client:
        client.function_load(library().text, replace=True)
        try:
            for way in ("eval", "functions"):
                await part({"redis": cluster_url, "scripts": way})
        finally:
            client.function_flush()


@PARTS
async def test_a_part_without_the_library(part: Part, fleet: Fleet) -> None:
    """The error names the library and the command that loads it."""
    server = fleet.flushed(DEFAULT)
    try:
        with pytest.raises(BackendLibraryError, match="loco-redis functions load") as caught:
            await part(restricted(server, "functions"))
    finally:
        server.client.execute_command("ACL", "DELUSER", "op")
    assert caught.value.library == library().name


def test_the_document_lists_every_script() -> None:
    """Each file of a part that says what it does in its first line, and none besides."""
    page = (LUA / "README.md").read_text("utf-8")
    scripts = {
        f"{part}/{file.name}"
        for part in ("pools", "plans", "routing", "contexts")
        for file in (LUA / part).iterdir()
        if file.read_text("utf-8").startswith(f"-- {file.name.removesuffix('.lua')}: ")
    }
    assert set(re.findall(r"\]\((\w+/\w+\.lua)\)", page)) == scripts
