"""How long from a release in one process until a body runs in another, with each peer?

As in the core's question of this name (benchmarks/handoff.py), which also measures the bare
message; blocks of all contenders and of messages in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks import handoff, server
from benchmarks.figure import Figure, Must
from benchmarks.peers import ways
from benchmarks.peers.crew import guarding, hired
from benchmarks.peers.peer import Peer, present
from loco_redis._server import EmbeddedServer

CONTENDERS = (*ways.SEMAPHORES, ways.LOCK)


def run(
    process: EmbeddedServer,
    *,
    blocks: int = 7,
    times: int = 40,
    peers: Sequence[Peer] | None = None,
) -> list[Figure]:
    """A row for each: the median, over the blocks, of the ratio of its median to the message's."""
    able = present(CONTENDERS) if peers is None else tuple(peers)
    wanted = {}
    for number, peer in enumerate(able):
        _, _, python, arguments = guarding(peer, 2, process.url, f"handoff_{number}", 1, 1)
        wanted[peer.name] = (2, handoff.PLACE, python, arguments)
    slots: dict[Peer, list[list[float]]] = {peer: [] for peer in able}
    messages = []
    with server.connected(process), hired(wanted) as crews:
        for number in range(-1, blocks):
            size = times if number >= 0 else 5
            found = {peer: handoff.block(crews[peer.name], "slot", size) for peer in able}
            message = handoff.block(crews[able[0].name], "message", size)
            if number >= 0:
                messages.append(message)
                for peer, delays in found.items():
                    slots[peer].append(delays)
    return [_row(peer, found, messages) for peer, found in slots.items()]


def _row(peer: Peer, slots: list[list[float]], messages: list[list[float]]) -> Figure:
    pairs = [(median(s), median(m)) for s, m in zip(slots, messages, strict=True) if s]
    return Figure(
        f"release in one process -> body runs in another, p50, against a bare pub/sub one-way: "
        f"{peer.name}",
        median(s / m for s, m in pairs),
        "x",
        Must(2.5) if peer is ways.LOCO else None,
        f"{handoff.percentiles(slots)} against {handoff.percentiles(messages)}"
        + ("" if peer is ways.LOCO else f"; {peer.note}"),
        {"peer": peer.name, "us": median(s for s, _ in pairs)},
    )
