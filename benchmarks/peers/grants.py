"""How many grants a second do 1, 2 and 4 processes get? 50 tasks in each on 4 slots, empty bodies.

Every contender has its own processes, which rest while others are measured: one window of each in
turn, in each round. A ratio is the median over the rounds of ours divided by the peer's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks import server
from benchmarks.figure import Figure, Must, spread
from benchmarks.peers import ways
from benchmarks.peers.crew import NOTICE, Crew, guarding, hired
from benchmarks.peers.peer import Peer, present
from loco_redis._server import EmbeddedServer

SLOTS = 4


@dataclass(frozen=True, slots=True)
class Contender:
    """A peer with so many slots, measured with each of `processes`; `share` of the window."""

    peer: Peer
    slots: int = SLOTS
    processes: tuple[int, ...] = (1, 2, 4)
    share: float = 1.0


# It connects anew for every use; as many uses as the others have would wear out the ports of the
# machine and make it slower than it is.
_SHORT = 0.4

CONTENDERS = (
    Contender(ways.LOCO),
    Contender(ways.SELF_LIMITERS, share=_SHORT),
    Contender(ways.SELF_LIMITERS_KEPT, processes=(1, 2)),
    Contender(ways.BLPOP),
    Contender(ways.BLPOP_PATIENT, processes=(1, 2)),
    Contender(ways.PUBSUB),
    Contender(ways.LOCO, slots=1, processes=(1, 2)),
    Contender(ways.LOCK, slots=1, processes=(1, 2)),
    Contender(ways.LIMITS, processes=(1,)),
    Contender(ways.THROTTLED, processes=(1,)),
    Contender(ways.LITELLM, processes=(1,)),
)
MUSTS = {
    (ways.SELF_LIMITERS, 1): Must(2.5, at_least=True),
    (ways.SELF_LIMITERS, 2): Must(1.5, at_least=True),
    (ways.BLPOP, 1): Must(1, at_least=True),
}

#: Rates by (contender's name with its slots, number of processes), one a round.
Rates = dict[tuple[str, int], list[float]]


def run(
    process: EmbeddedServer,
    *,
    rounds: int = 7,
    tasks: int = 50,
    seconds: float = 0.4,
    most: int = 4,
    peers: Sequence[Peer] | None = None,
) -> list[Figure]:
    """A row for each peer and number of processes."""
    able = present(tuple(c.peer for c in CONTENDERS)) if peers is None else tuple(peers)
    contenders = [c for c in CONTENDERS if c.peer in able]
    with server.connected(process), crews(process.url, contenders, most, tasks) as found:
        rates = _rounds(found, contenders, rounds, tasks, seconds, most)
    return [
        _row(rates, contender, number, tasks)
        for contender in contenders
        for number in contender.processes
        if number <= most and contender.peer is not ways.LOCO
    ]


def key(contender: Contender) -> str:
    return f"{contender.peer.name}, {contender.slots}"


@contextmanager
def crews(
    url: str, contenders: Sequence[Contender], most: int, tasks: int
) -> Iterator[dict[str, Crew]]:
    """For each contender, as many processes as it is measured with."""
    with hired(
        {
            key(contender): guarding(
                contender.peer,
                max(n for n in contender.processes if n <= most),
                url,
                f"grants_{number}",
                contender.slots,
                tasks,
            )
            for number, contender in enumerate(contenders)
        }
    ) as found:
        yield found


def _rounds(
    found: dict[str, Crew],
    contenders: Sequence[Contender],
    rounds: int,
    tasks: int,
    seconds: float,
    most: int,
) -> Rates:
    rates: Rates = {}
    for number in range(-1, rounds):  # the first is for connections and scripts
        for contender in contenders:
            for processes in (n for n in contender.processes if n <= most):
                window = seconds * contender.share * (1 if number >= 0 else 0.25)
                rate = together(found[key(contender)], processes, tasks, window)["count"] / window
                if number >= 0:
                    rates.setdefault((key(contender), processes), []).append(rate)
    return rates


def together(
    crew: Crew, processes: int, tasks: int, seconds: float, body: float = 0.0
) -> dict[str, float]:
    """What `labour.grants` of so many processes add up to, all in the same window."""
    answers = crew.tell(
        processes,
        do="grants",
        tasks=tasks,
        start=time.monotonic() + NOTICE,
        seconds=seconds,
        body=body,
    )
    return {name: sum(answer[name] for answer in answers) for name in answers[0]}


def _row(rates: Rates, contender: Contender, processes: int, tasks: int) -> Figure:
    mine = rates[key(Contender(ways.LOCO, contender.slots)), processes]
    theirs = rates[key(contender), processes]
    where = "one process" if processes == 1 else f"{processes} processes"
    slots = "one slot" if contender.slots == 1 else f"{contender.slots} slots"
    peer = contender.peer
    return Figure(
        f"grants/s, {where}, {tasks} tasks each on {slots}, against {peer.name}",
        median(a / b for a, b in zip(mine, theirs, strict=True)),
        "x",
        MUSTS.get((peer, processes)),
        f"{median(mine):,.0f}/s ({spread(mine)}) against {median(theirs):,.0f}/s "
        f"({spread(theirs)}); {peer.note}",
        {
            "peer": peer.name,
            "processes": processes,
            "slots": contender.slots,
            "per_second": median(theirs),
            "ours_per_second": median(mine),
        },
    )
