"""Does a large state stay cheap? Memory, the next grant, and looking at all of it.

Three states, each on an emptied server: many waiting agents, many queued durable tasks, many
sessions. A turn, which serves one and puts another in its place, is timed as in `choice.py`, beside
one in a small state of the same kind. Looking is the script `snapshot` (the numbers, and 1,000 rows
of each list) and the pages that the command line reads; what counts there is the longest single
command, because only one command at a time keeps others waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import redis

from benchmarks import server
from benchmarks.choice import usec_per_turn
from benchmarks.crowd import Arrival, Crowd, Turns
from benchmarks.figure import Figure, spread
from benchmarks.scale.backlog import Backlog
from benchmarks.scale.load import evalsha, opening
from benchmarks.scale.looking import Look, looked
from loco_redis._scripts import Scripts
from loco_redis._server import EmbeddedServer
from loco_redis.observe.link import Link
from loco_redis.observe.observer import Observer

SMALL = 100
_ARRIVAL = Arrival("continuous", burst=False)

Build = Callable[[redis.Redis, str, int], Turns]


def run(
    process: EmbeddedServer,
    *,
    agents: int = 100_000,
    tasks: int = 1_000_000,
    sessions: int = 1000,
    slices: int = 7,
    turns: int = 60,
) -> list[Figure]:
    """For each state: bytes an item, a turn against one in a small state, and looking at it."""
    states: list[tuple[str, str, int, Build, Callable[[Observer], object]]] = [
        ("waiting agents", "request", agents, _agents, Observer.agents),
        ("queued durable tasks", "task", tasks, Backlog, Observer.tasks),
        ("sessions", "session", sessions, _sessions, Observer.sessions),
    ]
    rows = []
    for what, size, count, build, look in states:
        with server.connected(process) as client:
            build(client, "warm", 1)  # the scripts themselves are no part of it
            small, bytes_of_small, _ = _built(client, build, "small", SMALL)
            large, bytes_of_large, took = _built(client, build, "large", count)
            items, each = f"{count:,} {what}", (bytes_of_large - bytes_of_small) / (count - SMALL)
            detail = f"used_memory grew by {bytes_of_large / 2**20:.1f} MiB; made in {took:.0f} s"
            data = {f"{size}_bytes": round(each)}
            rows.append(Figure(f"memory in Redis, {items}", each, "bytes each", None, detail, data))
            rows.append(_grant(client, items, small, large, slices, turns))
            rows += _looks(client, process.url, items, look)
    with server.connected(process) as client:
        rows.append(_connection(client, process.url, 3 * SMALL))
    return rows


def _built(client: redis.Redis, build: Build, name: str, count: int) -> tuple[Turns, int, float]:
    """A state, the growth of used_memory, and the seconds that it took."""
    before, began = _used(client), time.perf_counter()
    state = build(client, name, count)
    return state, _used(client) - before, time.perf_counter() - began


def _agents(client: redis.Redis, name: str, count: int) -> Turns:
    return Crowd(client, name, count, _ARRIVAL)


def _sessions(client: redis.Redis, name: str, count: int) -> Turns:
    """A crowd with so many sessions besides, which have nothing."""
    crowd, scripts = Crowd(client, name, SMALL, _ARRIVAL), Scripts(name)
    with client.pipeline(transaction=False) as batch:
        for number in range(count):
            batch.evalsha(*evalsha(scripts, opening(scripts, f"{number:016d}", None, None)))
        batch.execute()
    return crowd


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def _grant(
    client: redis.Redis, items: str, small: Turns, large: Turns, slices: int, turns: int
) -> Figure:
    times: list[tuple[float, float]] = []
    for _ in range(slices + 1):
        few, many = usec_per_turn(client, small, turns), usec_per_turn(client, large, turns)
        times.append((few, many))
    ratios = [many / few for few, many in times[1:]]  # the first one warms up
    few, many = (median(column) for column in zip(*times[1:], strict=True))
    return Figure(f"server time of a turn, {items} / {SMALL}", median(ratios), "x",
                  None, f"{many:.0f} us / {few:.0f} us; {spread(ratios, 2)}")  # fmt: skip


def _looks(
    client: redis.Redis, url: str, items: str, look: Callable[[Observer], object]
) -> list[Figure]:
    with Link(url) as link:
        observer = Observer(link, "large")
        observer.snapshot()  # loads the script
        found = [
            ("the numbers (loco-redis status)", looked(client, observer.snapshot)),
            ("a snapshot of 1,000 of each", looked(client, lambda: observer.snapshot(1000))),
            ("all of them in pages", looked(client, lambda: look(observer))),
        ]
    return [_row(f"{items}, looking: {name}", seen) for name, seen in found]


def _row(question: str, seen: Look) -> Figure:
    return Figure(f"{question}: the longest command", seen.longest, "ms", None, str(seen))


def _connection(client: redis.Redis, url: str, count: int) -> Figure:
    """What a connection costs, before anything large was sent on it."""
    before = _used(client)
    others = [redis.Redis.from_url(url, single_connection_client=True) for _ in range(count)]
    for other in others:
        other.ping()
    grown = _used(client) - before
    for other in others:
        other.close()
    each = grown / count
    detail = f"{count} connections that have said PING"
    data = {"connection_bytes": round(each)}
    return Figure("memory in Redis per connection", each, "bytes each", None, detail, data)
