"""Background tasks: `end` leaves none behind."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis._tasks import end


async def ends_at_cancellation(number: int) -> None:
    """Ends by the cancellation of that number; the others are lost, as in asyncio.wait_for."""
    for _ in range(number):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def test_a_lost_cancellation_is_repeated() -> None:
    """Until all have ended, whether they have begun or not."""
    tasks = [asyncio.create_task(ends_at_cancellation(number)) for number in (1, 3)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(ends_at_cancellation(1)))
    await end(*tasks, None)
    assert all(task.done() for task in tasks)


async def test_who_ends_others_is_ended_after_them() -> None:
    """Its own end is asked for again and again meanwhile, which must not cut theirs off."""
    inner = [asyncio.create_task(ends_at_cancellation(2)) for _ in range(2)]

    async def outer() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await end(*inner)

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    await end(task)
    assert task.cancelled()
    assert all(task.done() for task in inner)


async def test_patience_leaves_time_to_clean_up() -> None:
    """A task is not cancelled again while it lasts."""
    clean = False

    async def work() -> None:
        nonlocal clean
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)
            clean = True

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await end(task, patience=30.0)
    assert clean


async def test_what_a_task_raised_is_nobodys_concern() -> None:
    """Neither the caller's nor the loop's, which would complain of an exception never read."""

    async def fail() -> None:
        raise ValueError("broken")

    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end(task)
    with pytest.raises(ValueError, match="broken"):
        task.result()
    del task
    assert complaints == []
