"""How many jobs a second can be submitted and served? Jobs that do nothing, one worker process.

First all jobs are submitted by one process, 50 submissions at once (one after the other where the
tool is not asynchronous), then another process serves them, 50 at once, or as many as the tool can.
Neither waits for the other; the rate is that of both one after the other, from the first
submission to the last and from the first job done to the last. One round of each tool in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks import server
from benchmarks.figure import Figure, Must, spread
from benchmarks.peers import tools
from benchmarks.peers.crew import Crew, Wanted, hired
from benchmarks.peers.peer import Peer, present
from loco_redis._server import EmbeddedServer

CONCURRENCY = 50
#: Of the jobs: what a slow one is given of them, so that a round does not take for ever.
_FEWER = {tools.RQ: 4, tools.CELERY: 2, tools.ARQ: 2, tools.BULLMQ: 2}

#: (submitted, served) a second.
Rates = list[tuple[float, float]]


def run(
    process: EmbeddedServer,
    *,
    rounds: int = 5,
    jobs: int = 2000,
    peers: Sequence[Peer] | None = None,
) -> list[Figure]:
    """The best of the others first, then each of them."""
    able = present(tools.TOOLS) if peers is None else tuple(peers)
    rates: dict[Peer, Rates] = {peer: [] for peer in able}
    wanted = {
        peer.name: working(peer, process.url, f"queue_{number}", CONCURRENCY)
        for number, peer in enumerate(able)
    }
    with server.connected(process), hired(wanted) as crews:
        for number in range(-1, rounds):
            for peer in able:
                count = max(10, jobs // _FEWER.get(peer, 1) // (1 if number >= 0 else 4))
                rate = _round(crews[peer.name], count)
                if number >= 0:
                    rates[peer].append(rate)
    return _figures(rates)


def working(peer: Peer, url: str, name: str, concurrency: int) -> Wanted:
    """Two processes with the same queue: one submits, one serves (shift.py)."""
    arguments = {"tool": peer.place, "url": url, "name": name, "concurrency": concurrency}
    return 2, "benchmarks.peers.shift:serve", peer.python, arguments


def _round(crew: Crew, count: int) -> tuple[float, float]:
    submitter, worker = crew.members
    submitter.begin(do="submit", jobs=[0.0] * count)
    submitted = count / submitter.answer()
    worker.begin(do="serve", count=count)
    moments = [moment for _, moment in worker.answer()]
    return submitted, (count - 1) / (moments[-1] - moments[0])


def both(rate: tuple[float, float]) -> float:
    """Jobs a second, submitted and then served."""
    submitted, served = rate
    return 1 / (1 / submitted + 1 / served)


def _figures(rates: dict[Peer, Rates]) -> list[Figure]:
    ours = [both(rate) for rate in rates[tools.LOCO]]
    others = {peer: [both(r) for r in found] for peer, found in rates.items()}
    del others[tools.LOCO]
    rows = []
    best = max(others, key=lambda peer: median(others[peer]), default=None)
    for peer in sorted(others, key=lambda peer: -median(others[peer])):
        submitted, served = (median(column) for column in zip(*rates[peer], strict=True))
        mine = [median(column) for column in zip(*rates[tools.LOCO], strict=True)]
        rows.append(
            Figure(
                f"jobs submitted and served a second, against {peer.name}"
                + (", the fastest of the others" if peer is best else ""),
                median(a / b for a, b in zip(ours, others[peer], strict=True)),
                "x",
                Must(1, at_least=True) if peer is best else None,
                f"{median(ours):,.0f}/s ({spread(ours)}): submitted {mine[0]:,.0f}/s, served "
                f"{mine[1]:,.0f}/s, against {median(others[peer]):,.0f}/s "
                f"({spread(others[peer])}): {submitted:,.0f}/s, {served:,.0f}/s; "
                f"{peer.note}",
                {
                    "peer": peer.name,
                    "per_second": median(others[peer]),
                    "submitted": submitted,
                    "served": served,
                    "ours_per_second": median(ours),
                    "ours_submitted": mine[0],
                    "ours_served": mine[1],
                },
            )
        )
    return rows
