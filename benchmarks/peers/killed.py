"""How long until a slot is usable after its holder is killed? SIGKILL, one slot, lease 2 s.

A process holds the slot; another waits; the first is killed after a while, at another phase of
its heartbeats each time. From the kill to the first line of the waiter's body. All contenders at
once: they only wait.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Timer

from benchmarks import server
from benchmarks.figure import Figure, Must
from benchmarks.peers import ways
from benchmarks.peers.crew import guarding, hired
from benchmarks.peers.peer import Peer, present
from loco_redis._server import EmbeddedServer

LEASE = 2.0
#: Whether each can be given the lease.
CONTENDERS = {
    ways.LOCO: True,
    ways.LOCK: True,
    ways.PUBSUB: True,
    ways.SELF_LIMITERS: False,
    ways.BLPOP_PATIENT: False,
}


def run(
    process: EmbeddedServer,
    *,
    phases: Sequence[float] = (0.7, 0.9, 1.1, 1.3, 1.5),
    watch: float = 10.0,
    lease: float = LEASE,
    peers: Sequence[Peer] | None = None,
) -> list[Figure]:
    """A row for each.

    Args:
        phases: seconds from the holder's grant to its death, one for each time.
        watch: seconds after which the watch ends; who is not free by then is not tried again.
    """
    able = present(tuple(CONTENDERS)) if peers is None else tuple(peers)
    times: dict[Peer, list[float]] = {peer: [] for peer in able}
    with server.connected(process), ThreadPoolExecutor(len(able)) as pool:
        for number, phase in enumerate(phases):
            trying = [p for p in able if all(seconds < watch for seconds in times[p])]
            found = pool.map(
                lambda peer, n=number, s=phase: _once(
                    process.url, peer, f"killed_{n}_{able.index(peer)}", s, watch, lease
                ),
                trying,
            )
            for peer, seconds in zip(trying, found, strict=True):
                times[peer].append(seconds)
    return [_row(peer, found, watch, lease) for peer, found in times.items()]


def _once(url: str, peer: Peer, name: str, phase: float, watch: float, lease: float) -> float:
    """Seconds from the kill until the other process holds the slot; at most `watch`."""
    options = {"lease": lease} if CONTENDERS[peer] else {}
    with hired({"": guarding(peer, 2, url, name, 1, 1, **options)}) as crews:
        holder, waiter = crews[""].members
        holder.begin(do="hold", task=0, tell=True, body=3600)
        held = holder.answer()
        waiter.begin(do="hold", task=1)
        time.sleep(max(0.0, held + phase - time.monotonic()))
        holder.kill()
        killed = time.monotonic()
        end = Timer(watch, waiter.kill)
        end.start()
        try:
            [(began, _)] = waiter.answer()
        except EOFError:
            return watch
        finally:
            end.cancel()
    return float(began) - killed


def _row(peer: Peer, times: list[float], watch: float, lease: float) -> Figure:
    freed = median(times)
    if freed >= watch:
        unit, detail = "s or more", f"not usable when the watch ended; {peer.note}"
    else:
        unit, detail = "s", f"{len(times)} times, {min(times):.2f}-{max(times):.2f} s"
        detail += "" if peer is ways.LOCO else f"; {peer.note}"
    leased = f"lease {lease:g} s" if CONTENDERS[peer] else "no lease to set"
    return Figure(
        f"slot usable after SIGKILL of its holder, {leased}: {peer.name}",
        freed,
        unit,
        Must(3.2) if peer is ways.LOCO else None,
        detail,
        {"peer": peer.name, "seconds": None if freed >= watch else freed},
    )
