"""How many requests of a busy agent are served before a lone one that comes after them? One slot.

Agent "batch" has 100 requests waiting when "lone" asks for one. Either that is all, or each request
of "batch" that is served is followed by a new one, so that its queue never gets shorter. All
requests weigh 1. What counts is who comes first, not how fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks import server
from benchmarks.figure import Figure
from benchmarks.peers import ways
from benchmarks.peers.crew import guarding, hired
from benchmarks.peers.peer import Peer, present
from loco_redis._server import EmbeddedServer


def _ours(label: str, what: str = "what L(i) gives at this alpha", **options: object) -> Peer:
    return Peer(f"loco-redis, {label}", ways.LOCO.place, "loco-redis", what, options=options)


#: With the number of slots of each.
CONTENDERS = {
    _ours("alpha 0", alpha=0.0): 1,
    _ours("alpha 0.25", alpha=0.25): 1,
    _ours("alpha 0.5", alpha=0.5): 1,
    _ours("two slots, batch may hold one", "set_max_concurrency", caps={"batch": 1}): 2,
    ways.SELF_LIMITERS: 1,
    ways.BLPOP_PATIENT: 1,
    ways.PUBSUB: 1,
    ways.LOCK: 1,
}


def run(
    process: EmbeddedServer,
    *,
    backlog: int = 100,
    rounds: int = 3,
    patience: float = 10.0,
    settle: float = 0.2,
    peers: Sequence[Peer] | None = None,
) -> list[Figure]:
    """Two rows for each: a backlog that ends, and one that is refilled.

    Args:
        patience: seconds after which the lone one is given up.
        settle: seconds until it is taken that requests which were sent wait at the server.
    """
    able = present(tuple(CONTENDERS)) if peers is None else tuple(peers)
    wanted = {
        peer.name: guarding(
            peer, 1, process.url, f"fairness_{number}", CONTENDERS[peer], backlog + 1
        )
        for number, peer in enumerate(able)
    }
    rows = []
    with server.connected(process), hired(wanted) as crews:
        for refill in (False, True):
            order = {"backlog": backlog, "refill": refill, "patience": patience, "settle": settle}
            for peer in able:
                served = [crews[peer.name].tell(do="line", **order)[0] for _ in range(rounds)]
                rows.append(_row(peer, served, backlog, refill))
    return rows


def ahead(served: Sequence[str], lone: str = "lone") -> int:
    """How many others were served before the lone one: all of them, if it never was."""
    return list(served).index(lone) if lone in served else len(served)


def _row(peer: Peer, served: list[list[str]], backlog: int, refill: bool) -> Figure:
    how = f"{backlog} that are refilled" if refill else f"a backlog of {backlog}"
    found = [ahead(one) for one in served]
    given_up = sum("lone" not in one for one in served)
    ever = f"; {given_up} times it was given up" if given_up else ""
    return Figure(
        f"requests served before a lone one behind {how}: {peer.name}",
        median(found),
        "requests or more" if given_up else "requests",
        None,
        f"{', '.join(str(number) for number in found)}{ever}; {peer.note}",
        {"peer": peer.name, "refilled": refill, "ahead": median(found), "given_up": given_up},
    )
