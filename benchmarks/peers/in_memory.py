"""How many grants a second beside the in-memory loco-agent? One process, 50 to 10,000 agents.

Each agent has one task, which takes one of 4 slots, gives way to the event loop once in its body
(without that the in-memory scheduler would never have to choose), leaves and asks again. Ours does
the same with a server behind it. Windows of both in turn; the numbers of agents one after the
other, in processes of their own, which rest while the other is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks import server
from benchmarks.figure import Figure, Must, spread
from benchmarks.peers import ways
from benchmarks.peers.crew import guarding, hired
from benchmarks.peers.peer import Peer
from loco_redis._server import EmbeddedServer

SLOTS = 4
MUSTS = {50: Must(1, at_least=True), 1000: Must(20, at_least=True)}
PAIR = (ways.LOCO, ways.IN_MEMORY)


def run(
    process: EmbeddedServer,
    *,
    agents: Sequence[int] = (50, 1000, 10_000),
    rounds: int = 5,
    seconds: float = 0.5,
    pair: tuple[Peer, Peer] = PAIR,
) -> list[Figure]:
    """A row for each number of agents; none where the in-memory scheduler is not installed."""
    if not all(peer.installed for peer in pair):
        return []
    rows = []
    for number in agents:
        with server.connected(process):
            ours, theirs = _rates(process.url, pair, number, rounds, seconds)
        rows.append(_row(pair[1], number, ours, theirs))
    return rows


def _rates(
    url: str, pair: Sequence[Peer], agents: int, rounds: int, seconds: float
) -> list[list[float]]:
    """Grants a second of each of the two, window by window."""
    wanted = {
        peer.name: guarding(peer, 1, url, f"in_memory_{agents}", SLOTS, agents) for peer in pair
    }
    rates: list[list[float]] = [[], []]
    with hired(wanted) as crews:
        for crew in crews.values():
            crew.tell(do="crowd", tasks=agents)
        for number in range(-1, rounds):  # the first is for connections and scripts
            for crew, found in zip(crews.values(), rates, strict=True):
                [(ran, took)] = crew.tell(seconds=seconds)
                if number >= 0:
                    found.append(max(ran, 1) / took)
    return rates


def _row(peer: Peer, agents: int, mine: list[float], theirs: list[float]) -> Figure:
    return Figure(
        f"grants/s in one process, {agents:,} agents on {SLOTS} slots, against {peer.name}",
        median(a / b for a, b in zip(mine, theirs, strict=True)),
        "x",
        MUSTS.get(agents),
        f"{median(mine):,.0f}/s ({spread(mine)}) against {median(theirs):,.0f}/s "
        f"({spread(theirs)}); {peer.note}",
        {
            "peer": peer.name,
            "agents": agents,
            "per_second": median(theirs),
            "ours_per_second": median(mine),
        },
    )
