"""1,000 sessions end at once: how long is the longest script, and how long until all is reclaimed?

Each holds a slot, by which it runs a durable task, and has a few more requests waiting. Their
heartbeats stop; one session lives on, with as many waiting requests as slots come free. Whoever
calls next reaps a part, and so on: here the survivor's heartbeats do all of it, and each of them is
timed by the server's own clock. Then a single session that has much is closed, and many slots are
opened at once for requests that wait: that is one script, however many they are.
"""

from __future__ import annotations

from statistics import median

from benchmarks import server
from benchmarks.figure import Figure, Must
from benchmarks.scale.doomed import Doomed
from loco_redis._server import EmbeddedServer

_LONGEST = Must(5.0)  # milliseconds; somebody else's call waits for so long


def run(
    process: EmbeddedServer,
    *,
    sessions: int = 1000,
    waiting: int = 4,
    lease: float = 4.0,
    requests: int = 1000,
    rounds: int = 3,
) -> list[Figure]:
    """The longest script and all of them: of many sessions that expire, of one that closes; and of
    many grants at once."""
    reaping, closing, widening = [], [], []
    for _ in range(rounds):
        with server.connected(process) as client:
            doomed = Doomed(client, sessions, 1, waiting, lease)
            doomed.expire()
            reaping.append(doomed.reap())
            left = doomed.numbers()
        assert left.live_sessions == 1, left
        assert (left.held, left.waiting) == (sessions, 0), left
        with server.connected(process) as client:
            closing.append(Doomed(client, 1, requests, requests, lease).close_first())
        with server.connected(process) as client:
            widening.append(Doomed(client, 1, 1, requests, lease).widen(requests))
    many = f"{sessions:,} sessions of {waiting + 1} requests expire at once"
    return [
        _longest(many, reaping, _LONGEST),
        _whole(many, sessions * (waiting + 2), reaping, left.reclaimed),
        _longest(f"a session closes, of {requests:,} leases and {requests:,} that wait", closing,
                 _LONGEST),
        _longest(f"{requests:,} slots are opened at once for as many that wait", widening, None),
    ]  # fmt: skip


def _longest(what: str, rounds: list[list[float]], must: Must | None) -> Figure:
    """The median over the rounds: another process may take the core from any one script."""
    longest = [max(scripts) for scripts in rounds]
    usual = median(took for scripts in rounds for took in scripts)
    return Figure(
        f"{what}: the longest script",
        median(longest),
        "ms",
        must,
        f"longest of each round {', '.join(f'{took:.1f}' for took in longest)}; "
        f"{len(rounds[0])} scripts, median {usual:.1f} ms",
    )


def _whole(what: str, units: int, rounds: list[list[float]], reclaimed: int) -> Figure:
    whole = median(sum(scripts) for scripts in rounds)
    return Figure(
        f"{what}: until all slots are granted on",
        whole,
        "ms",
        None,
        f"server time of {len(rounds[0])} scripts, {1000 * whole / units:.0f} us a request or "
        f"session; {reclaimed:,} leases were reclaimed, because a slot may be granted to a session "
        "that is about to be reaped",
        {"reclaim_usec": round(1000 * whole / units, 1)},
    )
