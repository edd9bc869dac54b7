"""Opening a scheduler: what is stored, what is asked for, whose client it is."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from loco_redis import (
    AsyncLOCOScheduler,
    BackendUnavailableError,
    BackendVersionError,
    ConfigMismatchError,
    SharedResource,
    ShutdownError,
)
from loco_redis._outbox import Answer, Outbox
from tests.schedulers import Schedulers


async def test_opens_on_first_use(schedulers: Schedulers) -> None:
    """Without async with, the first call opens it; aclose() may be called twice."""
    scheduler = schedulers()
    assert scheduler.session_id is None
    assert "not open" in repr(scheduler)
    async with scheduler.acquire("a"):
        assert scheduler.session_id is not None
        assert "held=1" in repr(scheduler)
    await scheduler.aclose()
    await scheduler.aclose()
    assert "closed" in repr(scheduler)
    with pytest.raises(ShutdownError):
        await scheduler.snapshot()


async def test_concurrent_first_uses_open_one_session(schedulers: Schedulers) -> None:
    """Twenty tasks that come at once share one session."""
    scheduler = schedulers(capacity=20)
    handles = await asyncio.gather(*(scheduler.acquire_start("a") for _ in range(20)))
    assert len((await scheduler.snapshot()).sessions) == 1
    await asyncio.gather(*map(scheduler.release_handle, handles))


async def test_nothing_asked_for_adopts_what_is_stored(schedulers: Schedulers) -> None:
    """The first opener stores the configuration, later ones may leave all of it out."""
    async with schedulers(capacity=3, alpha=0.125, max_waiters=8, lease_ttl=1.5):
        async with schedulers(capacity=None, lease_ttl=None) as adopting:
            snapshot = await adopting.snapshot()
    assert (snapshot.capacity, snapshot.alpha) == (3, 0.125)
    assert (snapshot.max_waiters, snapshot.lease_ttl) == (8, 1.5)


async def test_first_opener_must_give_a_capacity(schedulers: Schedulers) -> None:
    """With nothing stored there is nothing to adopt, and the error says what to do."""
    with pytest.raises(ConfigMismatchError, match=r"nothing is stored for 'llm'.*capacity"):
        await schedulers(capacity=None).snapshot()


async def test_another_loop_is_told_so(schedulers: Schedulers) -> None:
    """A scheduler belongs to the loop that opened it."""
    async with schedulers() as scheduler:
        caught: list[BaseException] = []

        def elsewhere() -> None:
            try:
                asyncio.run(scheduler.snapshot())
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert "another event loop" in str(caught[0])


async def test_no_server_is_a_typed_error_in_time() -> None:
    """BackendUnavailableError comes after backend_timeout, names the place, hides the password."""
    scheduler = AsyncLOCOScheduler(
        [],
        SharedResource("llm", 1),
        redis="redis://user:secret@127.0.0.1:1/0",
        backend_timeout=0.2,
    )
    async with asyncio.timeout(5):
        with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1:1") as caught:
            await scheduler.snapshot()
    assert "secret" not in f"{caught.value} {scheduler!r} {scheduler.url}"
    await scheduler.aclose()


async def test_wrong_password_fails_fast(schedulers: Schedulers) -> None:
    """Trying again would not help, so backend_timeout is not waited for."""
    url = schedulers.server.url.replace("unix://", "unix://nobody:wrong@")
    scheduler = schedulers(redis=url, backend_timeout=60.0)
    async with asyncio.timeout(10):
        with pytest.raises(BackendUnavailableError, match="username-password"):
            await scheduler.snapshot()


async def test_too_old_a_server_is_named(
    schedulers: Schedulers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server before 6.2 is refused by version, before any script runs."""

    def old(self: Outbox, timeout: float, *args: object) -> asyncio.Future[Answer[bytes]]:
        reply = asyncio.get_running_loop().create_future()
        reply.set_result(Answer(b"# Server\r\nredis_version:6.0.16\r\n", False))
        return reply

    monkeypatch.setattr(Outbox, "send_raw", old)
    with pytest.raises(BackendVersionError, match=r"6\.0\.16, 6\.2 or newer"):
        await schedulers().snapshot()


async def test_cancelled_opening_leaves_nothing(schedulers: Schedulers) -> None:
    """An opener that is cancelled ends its background work; the next use opens afresh."""
    scheduler = schedulers()
    for turns in range(1, 12):
        opening = asyncio.create_task(scheduler.snapshot())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
    assert (await scheduler.snapshot()).sessions[0].session == scheduler.session_id


async def test_logs_carry_no_credentials(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the password of a URL nor a payload is ever logged."""
    caplog.set_level(logging.DEBUG, "loco_redis")
    url = "redis://:hush@127.0.0.1:1"
    scheduler = schedulers(redis=url, backend_timeout=0.1)
    with pytest.raises(BackendUnavailableError):
        await scheduler.snapshot()
    assert caplog.text
    assert "hush" not in caplog.text
