"""on_task_started and on_task_completed."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import Lease
from tests.schedulers import Schedulers


@pytest.mark.parametrize("is_async", [False, True])
async def test_callbacks_see_each_body_begin_and_end(
    schedulers: Schedulers, is_async: bool
) -> None:
    """Both get the lease; the second also the body's exception or None. They may be async."""
    seen: list[tuple[str, object]] = []

    def started(lease: Lease) -> None:
        seen.append(("started", lease.agent_id))

    def completed(lease: Lease, error: BaseException | None) -> None:
        seen.append(("completed", error))

    async def started_later(lease: Lease) -> None:
        await asyncio.sleep(0)
        started(lease)

    async def completed_later(lease: Lease, error: BaseException | None) -> None:
        await asyncio.sleep(0)
        completed(lease, error)

    scheduler = schedulers(
        on_task_started=started_later if is_async else started,
        on_task_completed=completed_later if is_async else completed,
    )
    failure = ValueError("body")
    async with scheduler:
        async with scheduler.acquire("a"):
            seen.append(("body", None))
        with pytest.raises(ValueError, match="body"):
            async with scheduler.acquire("b"):
                raise failure
    assert seen == [
        ("started", "a"),
        ("body", None),
        ("completed", None),
        ("started", "b"),
        ("completed", failure),
    ]


async def test_callback_that_raises_is_logged(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of a callback breaks neither body nor lease."""

    def broken(*_: object) -> None:
        raise RuntimeError("my callback")

    async with schedulers(on_task_started=broken, on_task_completed=broken) as scheduler:
        async with scheduler.acquire("a") as lease:
            assert not lease.released
        assert lease.released
    assert caplog.text.count("RuntimeError: my callback") == 2


async def test_callback_may_settle(schedulers: Schedulers) -> None:
    """The lease that a callback gets is the real one."""

    async def started(lease: Lease) -> None:
        await lease.settle(7.0)

    async with schedulers(on_task_started=started) as scheduler:
        async with scheduler.acquire("a"):
            pass
        assert await scheduler.metrics.cost_by_agent() == {"a": 7.0}


async def test_shared_block_calls_nobody(schedulers: Schedulers) -> None:
    """An inner block that shares the outer lease is no task of its own."""
    seen: list[str] = []
    scheduler = schedulers(
        on_task_started=lambda lease: seen.append("started"),
        on_task_completed=lambda lease, error: seen.append("completed"),
    )
    async with scheduler, scheduler.acquire("a"):
        async with scheduler.acquire("a", nested="share"):
            pass
    assert seen == ["started", "completed"]
