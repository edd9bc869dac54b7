"""The parts of orchestration run with the rights that docs/security.md gives them."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from loco_redis import (
    AsyncLOCOScheduler,
    Backend,
    Plan,
    ResourcePool,
    Router,
    SharedContext,
    SharedResource,
    Step,
)
from loco_redis._rights import OPTIONAL, ORCHESTRATION, WORKER, acl_rules
from tests.servers import Server

LUA = resources.files("loco_redis.orchestration") / "lua"
PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")


@pytest.fixture
def url(any_server: Server) -> str:
    """Of a user with just these rights."""
    rules = acl_rules((*WORKER, *OPTIONAL, *ORCHESTRATION)).split()
    any_server.client.execute_command("ACL", "SETUSER", "op", "reset", "on", "nopass", *rules)
    return any_server.url.replace("://", "://op:x@")


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


async def test_a_plan(url: str) -> None:
    async with AsyncLOCOScheduler(
        resource=SharedResource("llm", capacity=1), redis=url
    ) as scheduler:

        async def work(context: Any) -> str:
            return f"{context.step.name} done"

        plan = Plan([Step("a", agent="x"), Step("b", agent="x", depends_on=["a"])])
        result = await plan.run(scheduler, {"*": work})
        assert result.results == {"a": "a done", "b": "b done"}


async def test_a_router(url: str) -> None:
    backends = [Backend("one", capacity=1), Backend("two", capacity=1)]
    async with Router("models", backends, redis=url) as router, router.route("agent") as route:
        assert route.backend.name in ("one", "two")


async def test_a_pool(url: str) -> None:
    async with ResourcePool(redis=url) as pool:
        pool.add(SharedResource("llm", capacity=1, group="g"))
        pool.add(SharedResource("gpu", capacity=1, group="g"))
        async with pool.acquire_multiple("agent", ["llm", "gpu"], timeout=5) as leases:
            assert set(leases) == {"llm", "gpu"}


async def test_a_context(url: str) -> None:
    context = SharedContext("team", redis=url, ttl=60)
    await context.set("colour", "blue")
    assert await context.snapshot() == {"colour": "blue"}
    await context.delete("colour")
    await context.clear()
    await context.aclose()


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
