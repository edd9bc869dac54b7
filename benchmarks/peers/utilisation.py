"""How much of 4 slots is used, when bodies take 5 ms? Two processes with 25 tasks each.

The seconds that bodies ran for, divided by slots times the length of the window: what is missing
is the time between the end of one body and the beginning of the next in the same slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks import server
from benchmarks.figure import Figure, Must, spread
from benchmarks.peers import ways
from benchmarks.peers.crew import guarding, hired
from benchmarks.peers.grants import together
from benchmarks.peers.peer import Peer, present
from loco_redis._server import EmbeddedServer

SLOTS, PROCESSES, BODY = 4, 2, 0.005
#: With the number of slots that each can have.
CONTENDERS = {**dict.fromkeys(ways.SEMAPHORES, SLOTS), ways.LOCK: 1}


def run(
    process: EmbeddedServer,
    *,
    rounds: int = 5,
    tasks: int = 25,
    seconds: float = 1.0,
    peers: Sequence[Peer] | None = None,
) -> list[Figure]:
    """A row for ours, and for each peer."""
    able = present(tuple(CONTENDERS)) if peers is None else tuple(peers)
    wanted = {
        peer.name: guarding(peer, PROCESSES, process.url, f"used_{number}", CONTENDERS[peer], tasks)
        for number, peer in enumerate(able)
    }
    used: dict[Peer, list[float]] = {peer: [] for peer in able}
    with server.connected(process), hired(wanted) as crews:
        for number in range(-1, rounds):
            for peer in able:
                window = seconds if number >= 0 else seconds / 4
                busy = together(crews[peer.name], PROCESSES, tasks, window, BODY)["busy"]
                if number >= 0:
                    used[peer].append(busy / window / CONTENDERS[peer])
    return [_row(peer, shares, tasks) for peer, shares in used.items()]


def _row(peer: Peer, shares: list[float], tasks: int) -> Figure:
    slots = "one slot" if CONTENDERS[peer] == 1 else f"{CONTENDERS[peer]} slots"
    return Figure(
        f"utilisation of {slots} at 5 ms bodies, {PROCESSES} processes, {tasks} tasks each: "
        f"{peer.name}",
        median(shares),
        "of the time",
        Must(0.9, at_least=True) if peer is ways.LOCO else None,
        f"{spread(shares, 3)}" + ("" if peer is ways.LOCO else f"; {peer.note}"),
        {"peer": peer.name, "slots": CONTENDERS[peer], "utilisation": median(shares)},
    )
