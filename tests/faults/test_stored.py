"""What others have stored: another configuration, the state of a newer version."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
import redis

from loco_redis import AcquireHandle, AsyncLOCOScheduler, ConfigMismatchError, LeaseLostError
from loco_redis._keys import Keys
from loco_redis._scripts import SCHEMA
from tests.faults.conftest import Seen
from tests.faults.traffic import traffic
from tests.schedulers import NAME, Schedulers
from tests.servers import Server
from tests.waiting import eventually

LEASE = 0.6
KEYS = Keys(NAME)


@pytest.mark.parametrize(
    ("options", "field", "stored", "asked"),
    [
        ({"capacity": 4}, "capacity", 3, 4),
        ({"alpha": 0.5}, "alpha", 0.25, 0.5),
        ({"optimize_for": "latency"}, "alpha", 0.25, 0.0),
        ({"lease_ttl": 3.5}, "lease_ttl", 2.0, 3.5),
        ({"max_waiters": 1}, "max_waiters", None, 1),
    ],
)
async def test_other_configuration(
    schedulers: Schedulers, options: dict[str, object], field: str, stored: object, asked: object
) -> None:
    """The error names field, stored and asked value in the user's units; nothing is written."""
    async with schedulers(capacity=3):
        before = replace(schedulers.dump(), vars={})
        with pytest.raises(ConfigMismatchError, match=f"{field} is {stored} .*{asked}") as caught:
            async with schedulers(**{"capacity": 3, **options}):
                pass
        error = caught.value
        assert (error.field, error.stored, error.asked) == (field, stored, asked)
        assert before.sessions == schedulers.dump().sessions


async def test_other_configuration_under_load(server: Server, seen: Seen) -> None:
    """A hundred openers that ask for another capacity are refused and leave no trace."""
    schedulers = Schedulers(server)
    async with traffic(server.url, capacity=3, lease_ttl=LEASE) as load:
        sessions = set(schedulers.dump().sessions)
        began, refused = time.monotonic(), 0
        for _ in range(10):
            openers = [schedulers(4, lease_ttl=None) for _ in range(10)]
            told = await asyncio.gather(
                *(opener.snapshot() for opener in openers), return_exceptions=True
            )
            refused += sum(isinstance(error, ConfigMismatchError) for error in told)
        took = time.monotonic() - began
        assert refused == 100
        assert set(schedulers.dump().sessions) == sessions
        callers = await load.finish()
    callers.check_kept(schedulers.dump())
    await schedulers.aclose()
    seen(
        f"{len(callers.passages)} grants in 3 sessions; {refused} openers with another capacity in "
        f"{took:.2f} s",
        f"{refused} ConfigMismatchError; sessions and configuration unchanged",
    )


async def test_newer_schema_is_left_alone_by_openers(schedulers: Schedulers) -> None:
    """Whatever its rows look like: the schema's number is looked at first, nothing is written."""
    client = schedulers.server.client
    client.hset(KEYS.vars, mapping={"schema": "99", "counters": "of another form"})
    with pytest.raises(ConfigMismatchError, match="schema"):
        async with schedulers():
            pass
    stored = client.hgetall(KEYS.vars)
    assert stored == {b"schema": b"99", b"counters": b"of another form"}
    client.delete(KEYS.vars)


def _unreadable(client: redis.Redis) -> None:
    with client.pipeline(transaction=True) as together:
        together.flushall()
        together.hset(KEYS.vars, mapping={"schema": SCHEMA + 1, "counters": "of another form"})
        together.hset(KEYS.sessions, "whoever", "of another form, too")
        together.execute()


def _readable(client: redis.Redis) -> None:
    """The same state and sessions, upgraded in place."""
    client.hset(KEYS.vars, "schema", SCHEMA + 1)


@pytest.mark.parametrize("upgrade", [_unreadable, _readable])
async def test_newer_schema(
    schedulers: Schedulers,
    upgrade: Callable[[redis.Redis], None],
    caplog: pytest.LogCaptureFixture,
    seen: Seen,
) -> None:
    """Processes of this version that find the state of a newer one write nothing into it. Their
    leases are `lost` by the next heartbeat, for their scripts know no session there; waiters and
    new calls get ConfigMismatchError at once; and they go on when their state is back."""
    client = schedulers.server.client
    caplog.set_level(logging.INFO, "loco_redis")
    async with schedulers(lease_ttl=LEASE, backend_timeout=20.0) as own:
        handle = await own.acquire_start("a")
        waiter = asyncio.create_task(own.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        before = _everything(client)
        upgrade(client)
        upgraded, stored = time.monotonic(), _everything(client)
        await eventually(lambda: handle.lease.lost)
        noticed = time.monotonic() - upgraded
        with pytest.raises(ConfigMismatchError, match="schema"):
            await waiter
        with pytest.raises(LeaseLostError):
            await own.release_handle(handle)
        told = [await _timed(call) for _ in range(10) for call in _calls(own)]
        # Some heartbeats more; the same process comes to no other conclusion.
        await eventually(lambda: time.monotonic() > upgraded + 2 * LEASE)
        lines = [record.getMessage() for record in caplog.records if record.levelno >= 30]
        assert _everything(client) == stored
        _put_back(client, before)
        await own.release_handle(await _acquired(own))
    assert noticed < LEASE / 4 + 1.0
    assert max(told) < 1.0
    assert len(lines) <= 5, lines
    seen(
        f"schema {SCHEMA + 1} stored ({upgrade.__name__[1:]} rows) with a "
        f"lease and a waiter; {len(told)} calls in {2 * LEASE:.1f} s",
        f"lost after {noticed:.2f} s; {len(told)} ConfigMismatchError within {max(told):.2f} s; "
        f"nothing written; {len(lines)} lines logged",
    )


def _everything(client: redis.Redis) -> dict[bytes, bytes]:
    return {key: client.dump(key) for key in client.scan_iter()}


def _put_back(client: redis.Redis, state: dict[bytes, bytes]) -> None:
    with client.pipeline(transaction=True) as together:
        together.flushall()
        for key, value in state.items():
            together.restore(key, 0, value)
        together.execute()


def _calls(own: AsyncLOCOScheduler) -> tuple[Coroutine[Any, Any, object], ...]:
    return (
        own.acquire_start("c"),
        own.submit_task("c"),
        own.snapshot(),
        own.reconfigure(capacity=2),
    )


async def _timed(call: Coroutine[Any, Any, object]) -> float:
    """How long it takes until it is refused."""
    began = time.monotonic()
    with pytest.raises(ConfigMismatchError, match="schema"):
        await call
    return time.monotonic() - began


async def _acquired(own: AsyncLOCOScheduler) -> AcquireHandle:
    """The next session waits until the one that was put back has expired."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await own.acquire_start("c")
            except ConfigMismatchError:
                await asyncio.sleep(0.02)
