"""What goes out together: how entries share a script, and what becomes of them when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from loco_redis import BackendMemoryError
from loco_redis._entry import NEVER, Entry
from loco_redis._flight import MOST, Flights
from loco_redis._scripts import Command, Scripts
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.servers import BINARIES, DEFAULT, EmbeddedServer, Server

import redis  # isort: skip

SCRIPTS = Scripts("llm")
CALL: dict[str, Any] = {"floor": 1, "seen": 0, "sequence": 1}


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which it may fill."""
    with EmbeddedServer.start(BINARIES[DEFAULT]) as process:
        client = redis.Redis.from_url(process.url)
        yield Server("own", process, client)
        client.close()


def entry(command: Command[Any]) -> Entry:
    return Entry(command, command.script, command.decode, None, NEVER)


def acquire(session: str = "a") -> Entry:
    return entry(SCRIPTS.acquire(session=session, agent=b"x", weight=1, **CALL))


def release(session: str = "a") -> Entry:
    return entry(SCRIPTS.release(session=session, token=1, charge=True, **CALL))


def test_neighbours_of_a_session_share_a_script() -> None:
    """Acquires and releases, in their order, as far as a script may go; anything else is alone."""
    cancel = entry(SCRIPTS.cancel(session="a", **CALL))
    beside = [release(), acquire(), cancel, acquire(), acquire("b"), release("b")]
    many = [acquire("c") for _ in range(MOST + 1)]
    flights = Flights()
    left = flights.leave([*beside, *many])
    assert [flight.script for flight in left] == [
        *("several", "cancel", "acquire", "several", "several", "acquire")
    ]
    assert [len(flight.entries) for flight in left] == [2, 1, 1, 2, MOST, 1]
    assert list(flights) == [*beside, *many]
    assert flights.load == len(beside) + len(many)
    assert flights.land() is left[0]
    assert (flights.load, len(flights)) == (len(beside) + len(many) - 2, 5)


@pytest.mark.parametrize("raw", [None, b"", [], [[0, 1]], [[0, 1], [0, 2], [0, 3]]])
def test_reply_in_an_unknown_form_is_nobodys(raw: object) -> None:
    """None can be decoded by nobody, which is an error for each."""
    flights = Flights()
    (flight,) = flights.leave([acquire(), release()])
    assert [reply for _, reply in flight.replies(raw)] == [None, None]


async def test_a_busy_process_asks_less_often(schedulers: Schedulers) -> None:
    """20 tasks on 4 slots take far fewer scripts than two for each passage; all are accounted."""
    async with schedulers(capacity=4) as scheduler:

        async def work(agent: str) -> None:
            for _ in range(20):
                async with scheduler.acquire(agent):
                    pass

        await scheduler.snapshot()
        client = schedulers.server.client
        client.config_resetstat()
        await asyncio.gather(*(work(f"agent-{i}") for i in range(20)))
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] < 1.3 * 400
        snapshot = await scheduler.snapshot()
        assert snapshot.granted == snapshot.released == snapshot.tick == 400


async def test_lost_and_repeated_replies_of_shared_scripts(schedulers: Schedulers) -> None:
    """What went together goes again, perhaps in another company, and is done once."""
    runs = 0

    async def work(agent: str) -> None:
        nonlocal runs
        for _ in range(10):
            async with scheduler.acquire(agent):
                runs += 1

    async with proxied(schedulers.server) as proxy:
        async with schedulers(capacity=4, redis=proxy.url) as scheduler:
            proxy.lose_reply_of(SCRIPTS.sha("several"), times=5)
            await asyncio.gather(*(work(f"agent-{i}") for i in range(10)))
            assert proxy.lost == 5
            proxy.repeat(SCRIPTS.sha("several"))
            await asyncio.gather(*(work(f"agent-{i}") for i in range(10)))
            snapshot = await scheduler.snapshot()
    assert runs == snapshot.granted == snapshot.released == 200


async def test_refused_together_answered_alone(own_server: Server) -> None:
    """On a full server a release gets through, and the acquire that went with it does not."""
    schedulers = Schedulers(own_server)
    async with schedulers() as scheduler:
        handle = await scheduler.acquire_start("a", weight=2.0)
        own_server.client.config_set("maxmemory-policy", "noeviction")
        own_server.client.config_set("maxmemory", 1)
        outbox = scheduler._session.outbox  # type: ignore[union-attr]
        outbox._direct.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0)
        own_server.client.config_resetstat()
        release = asyncio.ensure_future(scheduler.release_handle(handle))
        with pytest.raises(BackendMemoryError):
            await scheduler.acquire_start("b")
        await release
        refused = own_server.client.info("commandstats")["cmdstat_evalsha"]["failed_calls"]
        assert refused >= 2  # `several`, then the acquire
        assert await scheduler.metrics.cost_by_agent() == {"a": 2.0}
        own_server.client.config_set("maxmemory", 0)
    await schedulers.aclose()
