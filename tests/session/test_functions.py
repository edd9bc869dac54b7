"""Scripts as Redis Functions, run by a user who may neither run nor load scripts of its own."""

from __future__ import annotations

import asyncio
import json

import pytest
import redis

from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BackendLibraryError,
    BackendMemoryError,
    BackendPermissionError,
    BackendVersionError,
    LeaseLostError,
    LOCOScheduler,
    SharedResource,
    Task,
)
from loco_redis import _session as session_module
from loco_redis._endpoint import resolve
from loco_redis._library import Library
from loco_redis._rights import CLUSTER, acl_rules
from loco_redis._scripts import VERBS, Scripts, library, load
from loco_redis.observe import Link, Observer
from tests.cli.calls import invoke
from tests.clusters import cluster_url
from tests.hardened import (
    FUNCTIONS,
    RIGHTS,
    WITHOUT,
    Hardened,
    any_hardened,
    any_hardened_schedulers,
    hardened,
    hardened_schedulers,
    work,
)
from tests.schedulers import NAME, Schedulers
from tests.servers import BINARIES, DEFAULT, Fleet
from tests.waiting import eventually

__all__ = [
    "any_hardened",
    "any_hardened_schedulers",
    "cluster_url",
    "hardened",
    "hardened_schedulers",
]


async def test_everything_works_without_eval(
    any_hardened: Hardened, any_hardened_schedulers: Schedulers
) -> None:
    """Acquire, wait, hint, release, cancel, submit, serve, settle, reconfigure, expiry; no script
    is run or loaded in any other way."""
    any_hardened.load()
    any_hardened.client.config_resetstat()
    options = {"redis": any_hardened.url, "lease_ttl": 0.4, **FUNCTIONS}
    async with (
        any_hardened_schedulers(events=50, **options) as one,
        any_hardened_schedulers(None, **options) as two,
    ):
        handle = await one.acquire_start("a", weight=2.0)
        waiter = asyncio.create_task(two.acquire_start("b"))
        await eventually(lambda: any_hardened_schedulers.waiting() == 1)
        with pytest.raises(AcquireTimeoutError):
            await two.acquire_start("c", timeout=0)
        await handle.lease.settle(3.0)
        await one.release_handle(handle)  # told by a hint
        await two.release_handle(await waiter)
        task = await one.submit_task("d", Task(payload=b"x", weight=2.0))
        async with two.acquire("d") as lease:
            assert (lease.task.task_id, lease.task.payload) == (task, b"x")
            await lease.throttled(0.01)
        await one.cancel_task(await one.submit_task("d"))
        assert await one.reconfigure(capacity=2) == 2
        await asyncio.gather(*(work(one, f"agent-{n}") for n in range(20)))
        costs = await one.metrics.cost_by_agent()
        assert {name: costs[name] for name in "abd"} == {"a": 3.0, "b": 1.0, "d": 2.0}
        lost = await two.acquire_start("e")
        two._session._heartbeat._stop.set()  # type: ignore[union-attr]
        await eventually(lambda: any_hardened_schedulers.held() == 0, what="its session to expire")
        with pytest.raises(LeaseLostError):
            await two.release_handle(lost)
    assert any_hardened.count("fcall") > 40
    assert any_hardened.count("fcall_ro") > 0
    assert [any_hardened.count(name) for name in ("evalsha", "script|load")] == [0, 0]


def test_the_user_can_run_nothing_else(any_hardened: Hardened) -> None:
    """Neither Lua of its own nor changes to what is loaded."""
    any_hardened.load()
    refused = [
        ("EVAL", "return 1", 0),
        ("EVALSHA", "0" * 40, 0),
        ("SCRIPT", "LOAD", "return 1"),
        ("SCRIPT", "FLUSH"),
        ("FUNCTION", "LOAD", "REPLACE", library().text),
        ("FUNCTION", "DELETE", library().name),
        ("FUNCTION", "FLUSH"),
        ("FUNCTION", "LIST"),
    ]
    with redis.Redis.from_url(any_hardened.url) as client:
        for command in refused:
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
    assert any_hardened.client.function_list()


async def test_a_full_server(any_hardened: Hardened, any_hardened_schedulers: Schedulers) -> None:
    """As with EVAL: acquire and submit are refused and leave nothing, also where they went with a
    release; leases are kept and released."""
    any_hardened.load()
    client = any_hardened.client
    try:
        async with any_hardened_schedulers(
            2, redis=any_hardened.url, lease_ttl=0.4, **FUNCTIONS
        ) as it:
            handle, other = await it.acquire_start("a", weight=2.0), await it.acquire_start("a")
            waiter = asyncio.create_task(it.acquire_start("b"))
            await eventually(lambda: any_hardened_schedulers.waiting() == 1)
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            for call in (it.acquire_start("c", timeout=5.0), it.submit_task("c")):
                with pytest.raises(BackendMemoryError):
                    await call
            ledger = handle.lease._ledger
            full_at = ledger.deadline
            await eventually(lambda: ledger.deadline > full_at + 0.4)  # heartbeats get through
            assert any_hardened_schedulers.waiting() == 1
            it._session.outbox._direct.abort()  # type: ignore[union-attr]
            await asyncio.sleep(0)
            release = asyncio.ensure_future(it.release_handle(handle))
            with pytest.raises(BackendMemoryError):
                await it.acquire_start("c", timeout=5.0)
            await release
            await it.release_handle(await waiter)
            await it.release_handle(other)
            assert await it.metrics.cost_by_agent() == {"a": 3.0, "b": 1.0}
            assert Observer(Link(any_hardened.url, "functions"), NAME).snapshot().held == 0
    finally:
        client.config_set("maxmemory", 0)


class OldScripts(Scripts):
    """Those of an older version."""

    older = Library.of({verb: f"-- older\n{load(verb)}" for verb in VERBS})

    def call(self, script: str) -> tuple[str, str]:
        return self.older.call(script)


async def test_two_versions_work_side_by_side(
    hardened: Hardened, hardened_schedulers: Schedulers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a rolling upgrade: both libraries are loaded, and slots go from old to new and back. Then
    the old one is removed: only who still needs it is told so."""
    hardened.load()
    hardened.client.function_load(OldScripts.older.text)
    options = {"redis": hardened.url, "lease_ttl": 0.6, **FUNCTIONS}
    with monkeypatch.context() as patched:
        patched.setattr(session_module, "Scripts", OldScripts)
        old = hardened_schedulers(**options)
        handle = await old.acquire_start("old")
    async with old, hardened_schedulers(None, **options) as new:
        for giving, taking in ((old, new), (new, old), (old, new)):
            waiter = asyncio.create_task(taking.acquire_start("next"))
            await eventually(lambda: hardened_schedulers.waiting() == 1)
            await giving.release_handle(handle)
            handle = await waiter
        hardened.client.execute_command("FUNCTION", "DELETE", OldScripts.older.name)
        with pytest.raises(BackendLibraryError):
            await old.acquire_start("old")
        await new.release_handle(handle)
        await work(new, "new")
        hardened.client.function_load(OldScripts.older.text)
        await work(old, "old")


async def test_servers_without_functions_are_named(fleet: Fleet) -> None:
    """Before 7.0 there are none; whether INFO may be asked or not."""
    for name in set(WITHOUT) & BINARIES.keys():
        url, resource = fleet.flushed(name).url, SharedResource(NAME, 1)
        with pytest.raises(BackendVersionError, match=r"6\.2\.\d+, 7\.0 or newer is needed"):
            await AsyncLOCOScheduler(resource=resource, redis=url, **FUNCTIONS).acquire_start("a")
        with pytest.raises(BackendVersionError, match=r"7\.0 or newer is needed for functions"):
            Observer(Link(url, "functions"), NAME).snapshot()


def test_the_way_is_an_argument_or_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument comes first."""
    assert resolve("redis://h").scripts == "eval"
    monkeypatch.setenv("LOCO_REDIS_SCRIPTS", "functions")
    assert resolve("redis://h").scripts == Link("redis://h").endpoint.scripts == "functions"
    assert resolve("redis://h", "eval").scripts == "eval"
    monkeypatch.setenv("LOCO_REDIS_SCRIPTS", "lua")
    with pytest.raises(ValueError, match="LOCO_REDIS_SCRIPTS must be 'eval' or 'functions', got"):
        resolve("redis://h")
    with pytest.raises(ValueError, match="scripts must be 'eval', 'functions'"):
        AsyncLOCOScheduler(resource=SharedResource(NAME, 1), scripts="lua")


async def test_an_embedded_server_gets_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is this process' own: there is nobody else to load it."""
    monkeypatch.setenv("LOCO_REDIS_SERVER", str(BINARIES[DEFAULT]))
    resource = SharedResource(NAME, 1)
    for _ in range(2):
        async with AsyncLOCOScheduler(resource=resource, redis="embedded://", **FUNCTIONS) as it:
            await work(it, "a")


async def test_a_cluster(cluster_url: str) -> None:
    """Functions are called on the node that has the resource, also by heartbeat and observers."""
    with redis.Redis.from_url(cluster_url.replace("redis+cluster", "redis")) as client:
        rules = acl_rules((*RIGHTS, *CLUSTER)).split()
        client.execute_command("ACL", "SETUSER", "op", "reset", "on", "nopass", *rules)
    assert invoke("functions", "load", "-u", cluster_url).exit_code == 0
    report = json.loads(invoke("functions", "list", "--json", "-u", cluster_url).output)
    assert (report["masters"], [row["masters"] for row in report["libraries"]]) == (1, [1])
    url, resource = cluster_url.replace("://", "://op:x@"), SharedResource(NAME, 1)
    options = {"redis": url, "lease_ttl": 0.4, **FUNCTIONS}
    async with AsyncLOCOScheduler(resource=resource, **options) as scheduler:
        async with scheduler.acquire("a") as lease:
            first = lease._ledger.deadline
            await eventually(lambda: lease._ledger.deadline > first + 0.2)
        with Link(url, "functions") as link:
            assert Observer(link, NAME).snapshot().released == 1
    removed = invoke("functions", "rm", library().version, "-y", "-u", cluster_url)
    assert removed.exit_code == 0


def test_who_may_only_look_needs_no_fcall(any_hardened: Hardened) -> None:
    """FCALL_RO runs the functions that read, and refuses the others."""
    any_hardened.load()
    resource = SharedResource(NAME, 3)
    with LOCOScheduler(resource=resource, redis=any_hardened.url, **FUNCTIONS):
        any_hardened.may("FCALL_RO", "HGET", "HLEN", "HMGET", "HSCAN", "TIME", "ZCARD")
        with Link(any_hardened.url, "functions") as link:
            assert Observer(link, NAME).snapshot().capacity == 3
        with redis.Redis.from_url(any_hardened.server.url) as client:
            scripts = Scripts(NAME, "functions")
            keys, (_, reap) = scripts.keys.all, scripts.call("reap")
            with pytest.raises(redis.ResponseError, match="write flag"):
                client.execute_command("FCALL_RO", reap, len(keys), *keys, *scripts.reap().args)
        any_hardened.may(*RIGHTS)


async def test_a_missing_right_is_named(any_hardened: Hardened) -> None:
    """That to call functions, and those that the functions need; nothing is written."""
    any_hardened.load()
    options = {"redis": any_hardened.url, **FUNCTIONS}
    for right in ("FCALL", "FCALL_RO", "HSET", "ZREM"):
        any_hardened.may(*(set(RIGHTS) - {right}))
        scheduler = AsyncLOCOScheduler(resource=SharedResource(NAME, 3), **options)
        with pytest.raises(BackendPermissionError, match=rf"run {right}\b"):
            await scheduler.acquire_start("a")
    assert not any_hardened.client.keys("loco:*")
