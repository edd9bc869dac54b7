"""What does a grant cost the server as more and more wait? From 10 to 100,000.

One slot and one process whose tasks all wait for it; each peer with as many as it can (a
connection for each waiter ends that at some thousands; whoever wakes all of them at each release
has stopped working long before). The server's processor time, by its own count (INFO cpu), divided
by the grants of the same window. Ours is also driven script by script, as in the core's questions,
for crowds that no single process would hold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import redis

from benchmarks import server
from benchmarks.crowd import Arrival, Crowd
from benchmarks.figure import Figure
from benchmarks.peers import ways
from benchmarks.peers.crew import guarding, hired
from benchmarks.peers.peer import Peer, present
from loco_redis._server import EmbeddedServer

CONTENDERS = (
    ways.LOCO,
    ways.SELF_LIMITERS,
    ways.SELF_LIMITERS_KEPT,
    ways.BLPOP_PATIENT,
    ways.PUBSUB,
    ways.LOCK,
)
#: Those whose leases would end while the crowd rests.
_LONG_LEASE = {ways.PUBSUB: {"lease": 120.0}, ways.LOCK: {"lease": 120.0}}

#: (server's us a grant, grants a second)
Cost = tuple[float, float]


def run(
    process: EmbeddedServer,
    *,
    sizes: Sequence[int] = (10, 100, 1000),
    scripts: Sequence[int] = (10, 100, 1000, 10_000, 100_000),
    windows: int = 3,
    seconds: float = 0.4,
    turns: int = 300,
    peers: Sequence[Peer] | None = None,
) -> list[Figure]:
    """A row for ours by scripts alone, and one for each contender."""
    able = present(CONTENDERS) if peers is None else tuple(peers)
    rows = []
    with server.connected(process) as client:
        costs = [_scripted(client, number, windows, turns) for number in scripts]
        rows.append(_row("loco-redis, its scripts alone", scripts, costs, ""))
    for peer in able:
        with server.connected(process) as client:
            costs = [_live(client, process.url, peer, size, windows, seconds) for size in sizes]
        rows.append(_row(peer.name, sizes, costs, "" if peer is ways.LOCO else peer.note))
    return rows


def cpu(client: redis.Redis) -> float:
    """Seconds of processor time that the server has used."""
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def _live(
    client: redis.Redis, url: str, peer: Peer, size: int, windows: int, seconds: float
) -> Cost:
    wanted = guarding(peer, 1, url, f"growth_{size}", 1, size + 1, **_LONG_LEASE.get(peer, {}))
    costs: list[Cost] = []
    with hired({"": wanted}) as crews:
        crew = crews[""]
        crew.tell(do="crowd", tasks=size + 1)  # one holds
        _quiet(client)
        for number in range(-1, windows):
            before = cpu(client)
            [(ran, took)] = crew.tell(seconds=seconds)
            if number >= 0:
                ran = max(ran, 1)
                costs.append(((cpu(client) - before) / ran * 1e6, ran / took))
    return _median(costs)


def _quiet(client: redis.Redis, patience: float = 5.0) -> None:
    """Wait until all of them have connected and asked: the server has little to do, for as long as
    they do not poll."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before, began = cpu(client), time.monotonic()
        time.sleep(0.2)
        if (cpu(client) - before) / (time.monotonic() - began) < 0.05:
            return


def _scripted(client: redis.Redis, agents: int, windows: int, turns: int) -> Cost:
    crowd = Crowd(client, f"growth_{agents}", agents, Arrival("random", burst=False))
    costs: list[Cost] = []
    for number in range(-1, windows):
        before, began = cpu(client), time.perf_counter()
        for _ in range(turns):
            crowd.turn()
        if number >= 0:
            took = time.perf_counter() - began
            costs.append(((cpu(client) - before) / turns * 1e6, turns / took))
    return _median(costs)


def _median(costs: list[Cost]) -> Cost:
    used, rates = zip(*costs, strict=True)
    return median(used), median(rates)


def _row(name: str, sizes: Sequence[int], costs: list[Cost], lacks: str) -> Figure:
    used = [round(us, 1) for us, _ in costs]
    parts = ", ".join(f"{us:,.0f} us at {size:,}" for us, size in zip(used, sizes, strict=True))
    return Figure(
        f"server time per grant, {sizes[-1]:,} waiting / {sizes[0]:,}: {name}",
        used[-1] / used[0],
        "x",
        None,
        f"{parts}; {costs[-1][1]:,.0f} grants/s at {sizes[-1]:,}" + (f"; {lacks}" if lacks else ""),
        {
            "peer": name,
            "agents": list(sizes),
            "us": used,
            "per_second": [round(rate, 1) for _, rate in costs],
        },
    )
