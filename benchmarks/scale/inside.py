"""Where does the time of a grant go? Each kind of script alone, by the server's own counts.

Redis counts all scripts together, as EVALSHA, and the commands that they call. So one kind is run
at a time. What a script takes beyond its commands is the Lua interpreter, its garbage and the way
from Lua to a command and back; what a call takes beyond its script is the socket: to read it, to
split it into arguments, and to answer.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import redis

from benchmarks import server
from benchmarks.figure import Figure
from benchmarks.scale.fleet import Cost, Costs
from benchmarks.scale.load import Load
from benchmarks.scale.usage import Inside, Measured, Usage
from benchmarks.scale.wire import Wires
from loco_redis._server import EmbeddedServer

# The names are those of `Costs`.
_KINDS = {
    "release_grants": "a release that grants",
    "acquire_waits": "an acquire that waits",
    "release_free": "a release while nobody waits",
    "acquire_free": "an acquire of a free slot",
    "heartbeat": "a heartbeat",
}

Calls = dict[str, tuple[Inside, Measured]]


def run(
    process: EmbeddedServer, *, rounds: int = 30, waiting: int = 1000, slots: int = 256
) -> list[Figure]:
    """A row for each kind of call, and the shares of a grant's time."""
    calls = _measured(process, rounds, waiting, slots)
    rows = []
    for name, (inside, whole) in calls.items():
        usec, inner, spent = inside.medians
        detail = (
            f"{inner:.0f} redis.call of {spent:.0f} us together, Lua {usec - spent:.0f} us, "
            f"outside of the script {median(whole.usec) - usec:.0f} us"
        )
        what = f"server's processor for {_KINDS[name]}"
        rows.append(Figure(what, whole.cost[0], "us", None, detail, {name: whole.cost}))
    return [*rows, _shares([calls["release_grants"], calls["acquire_waits"]])]


def costs(process: EmbeddedServer, rounds: int) -> Costs:
    """What a call of each kind costs, as `run` measures it."""
    calls = _measured(process, rounds, 1000, 256)
    return Costs(**{name: Cost(*whole.cost) for name, (_, whole) in calls.items()})


def _measured(process: EmbeddedServer, rounds: int, waiting: int, slots: int) -> Calls:
    with server.connected(process) as client, Wires() as wires:
        scarce = Load(wires, process.url, "scarce", waiting=waiting, slots=slots)
        idle = Load(wires, process.url, "idle", waiting=0, slots=slots)
        steps: dict[str, Callable[[], None]] = {
            "release_grants": scarce.release,
            "acquire_waits": lambda: scarce.acquire(slots),
            "release_free": idle.release,
            "acquire_free": lambda: idle.acquire(slots),
            "heartbeat": lambda: scarce.beat(slots),
        }
        calls = {name: (Inside(), Measured()) for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                _measure(client, step, slots, *calls[name])
    return calls


def _measure(
    client: redis.Redis, step: Callable[[], None], count: int, inside: Inside, whole: Measured
) -> None:
    client.config_resetstat()
    with Usage(client) as usage:
        step()
    whole.add(usage, count)
    inside.add(client.info("commandstats"))


def _shares(parts: list[tuple[Inside, Measured]]) -> Figure:
    """Of a release and an acquire together."""
    whole = sum(median(measured.usec) for _, measured in parts)
    each = [inside.medians for inside, _ in parts]
    scripts, calls, commands = (sum(numbers) for numbers in zip(*each, strict=True))
    return Figure(
        "of the time of a pair where all wait: Lua, its garbage and its way to Redis' commands",
        100 * (scripts - commands) / whole,
        "%",
        None,
        f"{calls:.0f} redis.call {100 * commands / whole:.0f} %, "
        f"socket and protocol {100 * (whole - scripts) / whole:.0f} %",
    )
