"""Which scheduler a loop, a thread or a child gets, and that each ends with what it belongs to."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import loco_redis as loco
from loco_redis import LeaseLostError
from loco_redis.shortcuts._defaults import defaults as registry
from tests.defaults import Defaults, defaults
from tests.waiting import eventually, wait_until

__all__ = ["defaults"]


async def test_one_for_each_loop(defaults: Defaults) -> None:
    """A loop has its own; both share the slots. It is closed when its loop ends."""
    defaults.configure(1)
    mine = loco.get_scheduler()
    await mine.snapshot()

    async def elsewhere() -> Any:
        scheduler = loco.get_scheduler()
        assert scheduler is loco.get_scheduler()
        assert await loco.wrap(defaults.held, agent_id="b") == ["b"]
        assert defaults.sessions() == 2
        return scheduler

    other = await asyncio.to_thread(asyncio.run, elsewhere())
    assert other is not mine
    assert other._closed
    assert mine is loco.get_scheduler()
    assert defaults.sessions() == 1


def test_two_loops_in_two_threads(defaults: Defaults) -> None:
    """Each of many threads gets one, in whatever order they ask; together they keep the limit."""
    defaults.configure(2)
    inside, peak, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4)

    async def work() -> None:
        nonlocal inside, peak
        with lock:
            inside += 1
            peak = max(peak, inside)
        await asyncio.sleep(0)
        with lock:
            inside -= 1

    async def main() -> Any:
        together.wait(10.0)
        scheduler = loco.get_scheduler()
        await asyncio.gather(*(loco.wrap(work) for _ in range(20)))
        assert scheduler is loco.get_scheduler()
        return scheduler

    with ThreadPoolExecutor(4) as pool:
        schedulers = list(pool.map(lambda _: asyncio.run(main()), range(4)))
    assert len(set(schedulers)) == 4
    assert 1 <= peak <= 2
    assert defaults.released() == 80
    assert defaults.sessions() == 0


async def test_all_ways_together_keep_the_limit(defaults: Defaults) -> None:
    """wrap, scheduled functions of each kind and get_scheduler() in one process: never more run
    than there are slots."""
    defaults.configure(2)
    inside, peak, lock = 0, 0, threading.Lock()

    def enter(change: int = 1) -> None:
        nonlocal inside, peak
        with lock:
            inside += change
            peak = max(peak, inside)

    async def work() -> None:
        enter()
        await asyncio.sleep(0.001)
        enter(-1)

    async def by_hand() -> None:
        async with loco.get_scheduler().acquire("hand"):
            await work()

    @loco.scheduled("items")
    async def items() -> Any:
        for _ in range(2):
            await work()
            yield

    @loco.scheduled("plain")
    def plain() -> None:
        enter()
        enter(-1)

    @loco.scheduled("plain items")
    def plain_items() -> Any:
        enter()
        yield
        enter(-1)

    async def all_items() -> None:
        async for _ in items():
            pass

    scheduled = loco.scheduled("scheduled")(work)
    calls = [
        call
        for _ in range(8)
        for call in (
            loco.wrap(work, agent_id="wrap"),
            scheduled(),
            by_hand(),
            all_items(),
            asyncio.to_thread(plain),
            asyncio.to_thread(lambda: list(plain_items())),
        )
    ]
    await asyncio.gather(*calls)
    assert peak == 2
    assert defaults.released() == 48


async def test_reset_closes_those_of_other_loops(defaults: Defaults) -> None:
    """In their own loops, which go on; a loop that stands still closes its own when it runs."""
    defaults.configure(3)
    outcome: list[BaseException] = []
    began = threading.Event()

    async def held_for_ever() -> None:
        began.set()
        await asyncio.Event().wait()

    async def hold() -> None:
        try:
            await loco.wrap(held_for_ever, agent_id="elsewhere")
        except LeaseLostError as error:
            outcome.append(error)
        with pytest.raises(RuntimeError, match="nothing is configured"):
            loco.get_scheduler()

    still = asyncio.new_event_loop()
    await asyncio.to_thread(still.run_until_complete, loco.wrap(asyncio.sleep, 0))
    thread = threading.Thread(target=asyncio.run, args=(hold(),))
    thread.start()
    await eventually(began.is_set)
    assert defaults.held() == ["elsewhere"]
    assert defaults.sessions() == 2
    await loco.reset()
    assert defaults.sessions() == 1
    await asyncio.to_thread(thread.join, 10.0)
    assert len(outcome) == 1
    await asyncio.to_thread(still.run_until_complete, still.shutdown_asyncgens())
    assert defaults.sessions() == 0
    still.close()
    await loco.reset()


def test_loop_that_was_closed_is_forgotten(defaults: Defaults) -> None:
    """Nothing is kept of loops that have ended."""
    defaults.configure(1)
    for _ in range(3):
        asyncio.run(loco.wrap(asyncio.sleep, 0))
    loco.get_blocking_scheduler()
    assert registry._loops == {}


RUN_TWICE = """
    import asyncio
    import loco_redis as loco

    loco.configure(capacity=1, budget_mode="reject")

    async def main():
        await loco.set_budget("a", 10.0)
        print(await loco.wrap(asyncio.sleep, 0, "done", agent_id="a"))
        return loco.get_scheduler()

    first, second = asyncio.run(main()), asyncio.run(main())
    assert first is not second
    print(first)
"""


def test_asyncio_run_twice(defaults: Defaults) -> None:
    """Each run has its own scheduler, closed at its end: no warning, no session is left."""
    told = defaults.run(RUN_TWICE).splitlines()
    assert told[:2] == ["done", "done"]
    assert told[2].endswith("closed waiting=0 held=0>>")
    _nothing_left(defaults)


ENDS_IN_THE_MIDDLE = """
    import asyncio
    import loco_redis as loco

    loco.configure(capacity=1, budget_mode="reject", backend_timeout=30)

    async def hold():
        try:
            holding.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            print("cleaned up")

    async def main():
        global holding, tasks
        holding = asyncio.Event()
        await loco.set_budget("a", 10.0)
        tasks = [asyncio.create_task(loco.wrap(hold, agent_id="a")) for _ in range(3)]
        await holding.wait()

    asyncio.run(main())
    assert all(task.cancelled() for task in tasks)
    loco.configure(capacity=1, budget_mode="reject", backend_timeout=30)

    async def look():
        return (await loco.get_scheduler().budget.summary())["a"]

    figures = asyncio.run(look())
    print(figures["spent"], figures["unsettled"], figures["reserved"])
"""


def test_program_that_ends_in_the_middle(defaults: Defaults) -> None:
    """asyncio.run cancels everything: a holder cleans up undisturbed and gives back its slot and
    what it had reserved, waiters withdraw, and the session is closed, all at once."""
    assert defaults.run(ENDS_IN_THE_MIDDLE) == "cleaned up\n0.0 0.0 0.0\n"
    _nothing_left(defaults)


GENERATORS_LEFT = """
    import asyncio, logging
    import loco_redis.context
    import loco_redis as loco

    loco.configure(capacity=2)

    @loco.scheduled("items")
    async def items():
        try:
            yield 1
        finally:
            print("cleaned up in", (await loco.wrap(loco_redis.context.current)).agent_id)

    @loco.scheduled("plain")
    def plain_items():
        yield 1

    async def main():
        global left
        left = items()
        print(await anext(left))

    asyncio.run(main())
    logging.disable()  # the next lease is lost, and a line says so
    left_behind = plain_items()
    print(next(left_behind))
"""


def test_generators_left_open(defaults: Defaults) -> None:
    """The loop closes its own before the scheduler ends; the others' slots are free at the end of
    the process."""
    assert defaults.run(GENERATORS_LEFT) == "1\ncleaned up in items\n1\n"
    _nothing_left(defaults)


OLD_STYLE = """
    import asyncio
    import loco_redis as loco

    loco.configure(capacity=1)
    loop = asyncio.new_event_loop()
    print(loop.run_until_complete(loco.wrap(asyncio.sleep, 0, "done")))
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert not asyncio.all_tasks(loop)
    loop.close()

    async def only_asked_for():
        loco.get_scheduler()

    asyncio.run(only_asked_for())
"""


def test_loop_of_ones_own(defaults: Defaults) -> None:
    """loop.shutdown_asyncgens(), which every clean end of a loop calls, is enough."""
    assert defaults.run(OLD_STYLE) == "done\n"
    _nothing_left(defaults)


AT_EXIT = """
    import logging
    import loco_redis as loco

    loco.configure(capacity=1)

    @loco.scheduled("a")
    def work():
        return "done"

    print(work())
    logging.disable()  # the lease is lost, and a line says so
    handle = loco.get_blocking_scheduler().acquire_start("left")
"""


def test_blocking_scheduler_ends_with_the_process(defaults: Defaults) -> None:
    """Nobody closes it, and yet no session is left."""
    assert defaults.run(AT_EXIT) == "done\n"
    _nothing_left(defaults)


FORK = """
    import asyncio, os, sys
    import loco_redis as loco

    loco.configure(capacity=2, lease_ttl=2.0)

    @loco.scheduled("plain")
    def plain():
        return os.getpid()

    async def child():
        assert loco.get_scheduler() is not parents
        assert await loco.wrap(os.getpid) == os.getpid()

    async def main():
        global parents
        parents = loco.get_scheduler()
        async with parents.acquire("parent") as lease:
            blocking = loco.get_blocking_scheduler()
            assert await asyncio.to_thread(plain) == os.getpid()
            pid = os.fork()
            if not pid:
                os._exit(in_child(blocking))
            status = await asyncio.to_thread(os.waitpid, pid, 0)
            assert os.waitstatus_to_exitcode(status[1]) == 7, status
            assert not lease.lost
            assert loco.get_scheduler() is parents
            assert loco.get_blocking_scheduler() is blocking

    def in_child(blocking):
        assert loco.get_blocking_scheduler() is not blocking
        assert plain() == os.getpid()
        asyncio.run(child())
        loco.get_blocking_scheduler().close()
        return 7

    asyncio.run(main())
    if not os.fork():
        assert plain() == os.getpid()
        sys.exit()  # by the ordinary way out
    assert os.wait()[1] == 0
    print("parent unharmed")
"""


def test_forked_child(defaults: Defaults) -> None:
    """It has the configuration, and schedulers of its own; its parent's are left alone."""
    assert defaults.run(FORK) == "parent unharmed\n"
    _nothing_left(defaults)


async def test_fork_without_use(defaults: Defaults) -> None:
    """What a child is born with is forgotten, without touching it."""
    defaults.configure(1)
    await loco.wrap(asyncio.sleep, 0)
    known = registry._loops
    registry.after_fork()
    assert loco.get_scheduler() is not next(iter(known.values())).scheduler
    await loco.reset()
    registry._loops = known
    await loco.reset()


EMBEDDED = """
    import asyncio
    import loco_redis as loco

    loco.configure(capacity=1, redis="embedded://")
    print(asyncio.run(loco.wrap(asyncio.sleep, 0, "done")))

    @loco.scheduled("a")
    def work():
        return "done, too"

    print(work())
"""


def test_embedded_server(defaults: Defaults) -> None:
    """It is stopped with the schedulers that use it."""
    assert defaults.run(EMBEDDED) == "done\ndone, too\n"


LAZY = """
    import sys
    import loco_redis

    parts = [name for name in sys.modules if name.startswith(("loco_redis.", "redis"))]
    assert not parts, parts
    loco_redis.agent
    assert "loco_redis.scheduler" not in sys.modules
    print(*(name for name in loco_redis.__all__ if name.islower()))
"""


def test_import_stays_lazy(defaults: Defaults) -> None:
    """`import loco_redis` imports nothing, and the names are there."""
    assert defaults.run(LAZY).split() == [
        "agent",
        "configure",
        "enable_opentelemetry",
        "enable_prometheus",
        "get_blocking_scheduler",
        "get_scheduler",
        "reset",
        "scheduled",
        "set_budget",
        "wrap",
    ]


def _nothing_left(defaults: Defaults) -> None:
    wait_until(lambda: defaults.sessions() == 0, timeout=1.0)
    wait_until(lambda: _sound(defaults), timeout=1.0)


def _sound(defaults: Defaults) -> bool:
    defaults.is_at_rest()
    return True
