"""Following the decision log: on every server, protocol and topology, and across its accidents."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import loco_redis
from loco_redis import LOCOScheduler, SharedResource
from loco_redis.observe import Link, Observer
from loco_redis.observe.events import KINDS
from loco_redis.observe.tail import Tail
from tests.servers import Server

_SLOW = 20.0


def _with(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{option}"


def _use(url: str, events: int | None = 100) -> None:
    """Two decisions: a grant and a release."""
    resource = SharedResource("llm", capacity=1)
    with LOCOScheduler(resource=resource, redis=url, events=events) as scheduler:
        with scheduler.acquire("agent", weight=2.5):
            pass


def _kinds(tail: Tail, count: int) -> list[str]:
    found: list[str] = []
    end = time.monotonic() + _SLOW
    while len(found) < count and time.monotonic() < end:
        found += [event.kind for event in tail.more(0.2)]
    return found


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_server_and_protocol(any_server: Server, protocol: int) -> None:
    """Replies have another shape under RESP3; the events are the same."""
    _use(any_server.url)
    with Link(_with(any_server.url, f"protocol={protocol}")) as link:
        observer = Observer(link, "llm")
        found = observer.events()
        assert [event.kind for event in found] == ["granted", "released"]
        assert observer.events_after("0-0", 0.0) == observer.events_after("0-0", 0.1) == found
        assert observer.events_after(found[0].event_id, 1.0) == found[1:]
        assert observer.events_after(found[1].event_id, 0.0) == []
        assert observer.events_after(found[1].event_id, 0.05) == []
        assert observer.last_event_id() == found[1].event_id


def test_cluster(cluster_url: str) -> None:
    """The log is read from the node that has it."""
    _use(cluster_url)
    with Link(cluster_url) as link:
        tail = Tail(Observer(link, "llm"), "0-0")
        assert _kinds(tail, 2) == ["granted", "released"]
        assert tail.more(0.05) == []


@pytest.mark.parametrize("timeout", ["", "socket_timeout=0.4"])
def test_a_wait_may_be_longer_than_the_clients_timeout(server: Server, timeout: str) -> None:
    """It comes in pieces, none of which the client gives up; an event ends it at once."""
    _use(server.url)
    with Link(_with(server.url, timeout) if timeout else server.url) as link:
        tail = Tail(Observer(link, "llm"))
        later = threading.Timer(0.6, _use, (server.url, None))
        later.start()
        started = time.monotonic()
        try:
            assert [event.kind for event in tail.more(_SLOW)][:1] == ["granted"]
            assert time.monotonic() - started < _SLOW / 2
        finally:
            later.join()


def test_a_trimmed_log(server: Server) -> None:
    """What was cut off before it was read is missed; the rest comes once."""
    _use(server.url)
    with Link(server.url) as link:
        tail = Tail(Observer(link, "llm"))
        _use(server.url, None)
        (key,) = server.client.keys("*:events")
        server.client.xtrim(key, maxlen=1, approximate=False)
        assert _kinds(tail, 1) == ["released"]
        server.client.xtrim(key, maxlen=0, approximate=False)
        assert tail.more(0.05) == []
        _use(server.url, None)
        assert _kinds(tail, 2) == ["granted", "released"]


@pytest.mark.parametrize("seen", [True, False])
def test_an_emptied_server_begins_anew(server: Server, seen: bool) -> None:
    """Ids start again, also where the new ones have overtaken the last that was read."""
    for _ in range(1 if not seen else 5):
        _use(server.url)
    with Link(server.url) as link:
        tail = Tail(Observer(link, "llm"))
        server.client.flushall()
        if seen:
            assert tail.more(0.05) == []
        for _ in range(3):
            _use(server.url)
        assert _kinds(tail, 6) == ["granted", "released"] * 3
        assert tail.more(0.05) == []


def test_data_of_an_earlier_moment(server: Server) -> None:
    """A log that ends before what was read, as after a lossy failover, is read anew."""
    _use(server.url)
    with Link(server.url) as link:
        tail = Tail(Observer(link, "llm"), "999-1")
        assert _kinds(tail, 2) == ["granted", "released"]


def test_pages(server: Server) -> None:
    """A long log comes page by page, the last ones of an agent or kind without the others."""
    resource = SharedResource("llm", capacity=1)
    with LOCOScheduler(resource=resource, redis=server.url, events=10_000) as scheduler:
        for number in range(400):
            with scheduler.acquire(f"agent{number % 4}"):
                pass
    with Link(server.url) as link:
        observer = Observer(link, "llm")
        assert _kinds(Tail(observer, "0-0"), 800) == ["granted", "released"] * 400
        found = observer.events(count=50, wanted=lambda event: event.agent_id == "agent1")
        assert len(found) == 50
        assert {event.agent_id for event in found} == {"agent1"}
        assert observer.events(count=None)[-5].event_id == found[-1].event_id


def test_kinds_are_those_that_the_scripts_note() -> None:
    """As in lua/README.md and in the scripts themselves."""
    folder = Path(loco_redis.__file__).parent / "lua"
    texts = [path.read_text() for path in folder.rglob("*.lua")]
    noted = {part.partition("'")[0] for text in texts for part in text.split("note('")[1:]}
    assert noted == set(KINDS)
    readme = (folder / "README.md").read_text()
    assert all(f"| `{kind}` |" in readme for kind in KINDS)
