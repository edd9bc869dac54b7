"""A shared context: values, versions, atomic changes, limits, expiry; writes are done once."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any

import fakeredis
import pytest
import redis.asyncio

from loco_redis.errors import (
    BackendMemoryError,
    BackendPermissionError,
    BackendUnavailableError,
    ContextContendedError,
    ContextFullError,
)
from loco_redis.orchestration._scripts import source
from loco_redis.orchestration.contexts import _store
from loco_redis.orchestration.contexts.shared_context import ABSENT, SharedContext, Version
from tests.orchestration.loops.processes import run
from tests.proxy import proxied
from tests.servers import Server
from tests.waiting import eventually

SHA = hashlib.sha1(source("context_write").encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
async def context(server: Server) -> AsyncIterator[SharedContext]:
    async with SharedContext("team", redis=server.url) as context:
        yield context


@pytest.fixture
async def any_context(any_server: Server) -> AsyncIterator[SharedContext]:
    async with SharedContext("team", redis=any_server.url, ttl=60) as context:
        yield context


VALUES = [
    *(None, True, 0, -1, 1.5, 2**70, "", "text", "Zürich \U0001f680 \x00|\n", [], [1, [2]], {}),
    {"a": {"b": [1, None, "x"]}},
]


@pytest.mark.parametrize("value", VALUES)
async def test_values_come_back(context: SharedContext, value: Any) -> None:
    """All that JSON has."""
    await context.set("k", value)
    assert await context.get("k") == value
    assert await context.snapshot() == {"k": value}


async def test_on_every_server(any_context: SharedContext) -> None:
    """Each method does its work on all servers of this machine."""
    context = any_context
    assert await context.get("a") is None
    assert await context.get("a", 7) == 7
    first = await context.set("a", 1)
    await context.update({"b": 2, "ü": {"x": 1}})
    assert await context.snapshot() == {"a": 1, "b": 2, "ü": {"x": 1}}
    assert await context.get_with_version("a") == (1, first)
    second = await context.compare_and_set("a", first, 3)
    assert second is not None
    assert second > first
    assert await context.compare_and_set("a", first, 4) is None
    assert await context.change("a", lambda n: n + 1) == 4
    await context.delete("a")
    await context.delete("a")
    assert await context.snapshot() == {"b": 2, "ü": {"x": 1}}
    await context.clear()
    assert await context.snapshot() == {}


async def test_on_a_cluster(cluster_url: str) -> None:
    """All keys of a context share one slot."""
    async with SharedContext("team", redis=cluster_url, namespace="prod") as context:
        assert await context.change("n", lambda n: n + 1, default=0) == 1
        await context.update({"m": 2})
        assert await context.snapshot() == {"m": 2, "n": 1}


async def test_on_a_fake_server() -> None:
    """A ready client is used as it is, and not closed."""
    client = fakeredis.FakeAsyncRedis()
    async with SharedContext("team", redis=client, ttl=5) as context:
        assert await context.change("n", lambda n: n + 1, default=0) == 1
    assert await client.ping()
    await client.aclose()


async def test_names_and_namespaces_are_apart(context: SharedContext, server: Server) -> None:
    """The same name in another namespace is another context; the same again is the same."""
    await context.set("k", 1)
    async with SharedContext("team", redis=server.url, namespace="prod") as other:
        assert await other.get("k") is None
        await other.set("k", 2)
    async with SharedContext("team", redis=server.url) as same:
        assert await same.snapshot() == {"k": 1}
    keys = {key.decode() for key in server.client.keys("*")}
    hashes = {"loco:{context::team}:values", "loco:{context:prod:team}:values"}
    assert keys == hashes | {key.replace(":values", ":done") for key in hashes}


async def test_versions_rise_and_are_never_used_again(context: SharedContext) -> None:
    """Over all keys, also when a value, or all of them, had been removed meanwhile."""
    versions = [await context.set("a", 0), await context.set("b", 0)]
    await context.delete("a")
    versions.append(await context.set("a", 0))
    await context.clear()
    versions.append(await context.set("a", 0))
    assert versions == sorted(set(versions))
    assert (await context.get_with_version("none", "d")) == ("d", ABSENT)
    for old in versions[:3]:
        assert await context.compare_and_set("a", old, 1) is None
    assert repr(Version(5)) == "Version(5)"


async def test_compare_and_set_by_value(context: SharedContext) -> None:
    """As JSON writes it: the order of keys is nothing, 1 is not 1.0, and nothing is not null."""
    await context.set("k", {"a": 1, "b": [1.5, None]})
    assert await context.compare_and_set("k", {"b": [1.5, None], "a": 1}, 1)
    assert await context.compare_and_set("k", 1.0, 2) is None
    assert await context.compare_and_set("k", True, 2) is None
    assert await context.compare_and_set("none", None, 2) is None
    assert await context.compare_and_set("none", ABSENT, None)
    assert await context.compare_and_set("none", ABSENT, 3) is None
    assert await context.compare_and_set("none", None, 3)
    assert await context.snapshot() == {"k": 1, "none": 3}


async def test_an_update_is_seen_as_a_whole(context: SharedContext) -> None:
    """A snapshot never has a part of it."""
    stop = False

    async def write() -> None:
        for number in range(200):
            await context.update(dict.fromkeys("abcdef", number))
        nonlocal stop
        stop = True

    async def read() -> None:
        while not stop:
            assert len(set((await context.snapshot()).values())) <= 1

    await asyncio.gather(write(), read(), read())


@pytest.mark.alone
async def test_eight_processes_count_exactly(context: SharedContext) -> None:
    """8 times 200 increments of one value: 1,600, and each of the values was made once."""
    told = await run(8, "count", context._endpoint.url, 200)
    assert await context.get("hits") == 1600
    assert sorted(value for values in told for value in values) == [*range(1, 1601)]
    assert all(values == sorted(values) for values in told)


async def test_a_change_may_be_async_and_is_made_anew(context: SharedContext) -> None:
    """Its function is called again with what somebody else has stored."""
    seen = []

    async def append(items: list[int]) -> list[int]:
        seen.append([*items])
        if len(seen) == 1:
            await context.set("items", [7])
        items.append(1)
        return items

    assert await context.change("items", append, default=[]) == [7, 1]
    assert seen == [[], [7]]


async def test_a_default_is_not_changed(context: SharedContext) -> None:
    """Each call of the function gets a copy of it."""
    default: list[int] = []

    async def append(items: list[int]) -> list[int]:
        items.append(1)
        if await context.get("other") is None:
            await context.set("other", 1)
            await context.set("items", [])
            await context.delete("items")
        return items

    assert await context.change("items", append, default=default) == [1]
    assert default == []


async def test_a_change_gives_up(context: SharedContext) -> None:
    """After so many attempts, by an error that names the key; what `fn` raises is raised."""

    async def slow(value: int) -> int:
        await context.set("k", value + 10)
        return value + 1

    with pytest.raises(ContextContendedError, match="'k' of shared context 'team'") as caught:
        await context.change("k", slow, default=0, attempts=3)
    assert caught.value.attempts == 3
    assert await context.get("k") == 30
    with pytest.raises(ZeroDivisionError):
        await context.change("k", lambda value: value / 0)


async def test_a_context_expires_as_a_whole(server: Server) -> None:
    """So long after the last write of somebody who gives a ttl; reading does not renew it."""
    name = "loco:{context::team}:values"
    async with (
        SharedContext("team", redis=server.url, ttl=100) as context,
        SharedContext("team", redis=server.url) as other,
    ):
        await context.set("a", 1)
        server.client.pexpire(name, 5000)
        await context.get("a")
        await other.set("b", 2)
        assert await context.compare_and_set("a", 9, 9) is None
        assert server.client.pttl(name) <= 5000
        await context.change("b", lambda b: b + 1)
        assert 90_000 < server.client.pttl(name) <= 100_000
        server.client.pexpire(name, 1)
        await eventually(lambda: not server.client.exists(name))
        assert await context.snapshot() == {}
    async with SharedContext("brief", redis=server.url, ttl=0.05) as brief:
        await brief.set("a", 1)
        await eventually(lambda: not server.client.exists("loco:{context::brief}:values"))


async def test_nothing_stays_of_an_empty_context(context: SharedContext, server: Server) -> None:
    """Without values there is no key but the record of writes, which expires."""
    await context.update({"a": 1, "b": 2})
    await context.delete("a")
    await context.delete("b")
    [key] = server.client.keys()
    assert key == b"loco:{context::team}:done"
    assert 0 < server.client.pttl(key) <= 60_000


async def test_the_record_of_writes_is_bounded(context: SharedContext, server: Server) -> None:
    """10,000 at the most, of the last minute."""
    done = "loco:{context::team}:done"
    version = await context.set("a", 1)
    server.client.zadd(done, {f"new-{n}": int(version) for n in range(11_000)})
    server.client.zadd(done, {f"old-{n}": version - 61_000_000 for n in range(10)})
    await context.set("a", 2)
    assert server.client.zcard(done) == 10_000
    assert server.client.zcount(done, "-inf", version - 61_000_000) == 0


async def test_limits_of_the_whole(context: SharedContext, server: Server) -> None:
    """10,000 keys and 16 MiB; beyond that nothing of a write is done, and what goes makes room."""
    await context.update({f"key-{n}": n for n in range(10_000)})
    with pytest.raises(ContextFullError, match="would have 10001 keys, at most 10000") as caught:
        await context.update({"key-0": "changed", "more": 1})
    assert (caught.value.what, caught.value.found) == ("keys", 10_001)
    assert await context.get("key-0") == 0
    await context.delete("key-1")
    await context.set("more", 1)
    await context.clear()
    large = "x" * 1_000_000
    for number in range(16):
        await context.set(f"large-{number}", large)
    with pytest.raises(ContextFullError, match="bytes"):
        await context.set("large-16", large)
    assert await context.get("large-16") is None
    await context.set("large-15", "small")
    await context.set("large-16", "x" * 900_000)
    counted = int(server.client.hget("loco:{context::team}:values", "bytes"))
    rows = server.client.hgetall("loco:{context::team}:values")
    assert counted == sum(len(k) + len(v) for k, v in rows.items() if k.startswith(b"="))
    await context.clear()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "a value must be JSON .* not JSON serializable"),
        (float("nan"), "a value must be JSON .*got nan"),
        ({1, 2}, "a value must be JSON"),
        ("\ud800", "a value must be JSON"),
        (b"bytes", "a value must be JSON"),
        ("x" * (1 << 20), r"a value has 1,048,578 bytes of JSON, at most 1,048,576 \(1 MiB\)"),
    ],
)
async def test_bad_values_are_refused(context: SharedContext, value: Any, message: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match=message):
        await context.set("k", value)
    with pytest.raises(ValueError, match=message):
        await context.update({"a": 1, "k": value})
    assert await context.snapshot() == {}


@pytest.mark.parametrize("key", ["", None, 1, b"k", "x" * 513, "\ud800"])
async def test_bad_keys_are_refused(context: SharedContext, key: Any) -> None:
    """By one line."""
    with pytest.raises(ValueError, match="a key must be a str of 1 to 512 UTF-8 bytes"):
        await context.get(key)
    with pytest.raises(ValueError, match="a key must be"):
        await context.set(key, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a b"}, "a context's name must be 1 to 64 characters"),
        ({"name": ""}, "a context's name must be"),
        ({"name": "a", "namespace": "x:y"}, "a context's namespace must be"),
        ({"name": "a", "ttl": 0}, "ttl must be a number of seconds"),
        ({"name": "a", "redis": "http://h"}, "http://h"),
        ({"name": "a", "backend_timeout": 0}, "backend_timeout must be"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    """Before anything is connected."""
    with pytest.raises(ValueError, match=message):
        SharedContext(**options)


async def test_a_lost_reply_does_nothing_twice(server: Server) -> None:
    """The write is sent again with the same id: it was done once, and its version comes back, also
    when somebody else has written meanwhile."""
    async with proxied(server) as proxy, SharedContext("team", redis=proxy.url) as context:
        await context.set("n", 0)
        for number in range(1, 11):
            proxy.lose_reply_of(SHA)
            assert await context.change("n", lambda n: n + 1) == number
        assert proxy.lost == 10
        proxy.lose_reply_of(SHA)
        version = await context.set("a", 1)
        assert await context.get_with_version("a") == (1, version)


async def test_a_late_repeat_does_nothing(server: Server) -> None:
    """The server gets each write twice; the second changes nothing, not even the version."""
    async with proxied(server) as proxy, SharedContext("team", redis=proxy.url) as context:
        await context.set("n", 0)
        proxy.copies = 1
        for number in range(1, 11):
            assert await context.change("n", lambda n: n + 1) == number


async def test_a_broken_connection_is_made_anew(server: Server) -> None:
    """Between calls and during them."""
    async with proxied(server) as proxy, SharedContext("team", redis=proxy.url) as context:
        for number in range(5):
            await context.set("n", number)
            proxy.cut()
            assert await context.get("n") == number


async def test_scripts_may_be_flushed(context: SharedContext, server: Server) -> None:
    """They are loaded again."""
    await context.set("n", 1)
    server.client.script_flush()
    await context.set("n", 2)
    assert await context.get("n") == 2


async def test_no_server(tmp_path: object) -> None:
    """A typed error within `backend_timeout`, the URL in it."""
    async with SharedContext("t", f"unix://{tmp_path}/none.sock", backend_timeout=0.2) as context:
        with pytest.raises(BackendUnavailableError, match="none.sock"):
            await context.set("a", 1)


async def test_refusals_of_the_server(server: Server) -> None:
    """Rights and memory are named."""
    server.client.execute_command("ACL", "SETUSER", "weak", "on", "nopass", "~*", "+hget")
    url = server.url.replace("://", "://weak:x@")
    async with SharedContext("team", redis=url) as context:
        with pytest.raises(BackendPermissionError, match="evalsha"):
            await context.set("a", 1)
    server.client.acl_deluser("weak")
    async with SharedContext("team", redis=server.url) as context:
        await context.set("a", 1)
        server.client.config_set("maxmemory", 1)
        try:
            with pytest.raises(BackendMemoryError):
                await context.set("a", 2)
            assert await context.get("a") == 1
        finally:
            server.client.config_set("maxmemory", 0)


async def test_what_is_closed_says_so(server: Server) -> None:
    """And `repr` shows where it is, without credentials."""
    context = SharedContext("team", redis=server.url, namespace="prod")
    await context.set("a", 1)
    assert repr(context) == f"<SharedContext 'prod:team' at {context._endpoint.redacted}>"
    await context.aclose()
    await context.aclose()
    assert repr(context).endswith(" closed>")
    with pytest.raises(RuntimeError, match="closed: make another one"):
        await context.get("a")


async def test_it_belongs_to_one_event_loop(context: SharedContext) -> None:
    """Another one gets an error instead of a connection of the first."""
    await context.set("a", 1)
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, context.get("a"))


async def test_a_given_client_stays_open(server: Server) -> None:
    """It is its owner's."""
    client = redis.asyncio.Redis(unix_socket_path=server.url.removeprefix("unix://"))
    async with SharedContext("team", redis=client) as context:
        await context.set("a", 1)
    assert await client.ping()
    await client.aclose()


async def test_an_embedded_server() -> None:
    """Without any Redis it starts one."""
    async with SharedContext("team", redis="embedded://") as context:
        assert await context.change("n", lambda n: n + 1, default=0) == 1


def test_the_script_and_its_statuses_agree() -> None:
    """The numbers in Lua are those of `Outcome`."""
    text = source("context_write")
    found = re.search(r"^local (WRITTEN.*) = (.*)$", text, re.MULTILINE)
    assert found is not None
    names, numbers = (part.split(", ") for part in found.groups())
    assert {name: int(number) for name, number in zip(names, numbers, strict=True)} == {
        outcome.name: outcome.value for outcome in _store.Outcome
    }
