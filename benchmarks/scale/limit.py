"""How many grants a second until Redis' core is full?

`Load` keeps the server busy by encoded commands, so that nothing but the server limits it. Its
processor time is counted by itself, so that the figures hold where other processes took a part of
the core; how much of one it had stands beside them.
"""

from __future__ import annotations

from statistics import median, quantiles

import redis

from benchmarks import server
from benchmarks.figure import Figure
from benchmarks.scale.load import Load, run_for
from benchmarks.scale.plain import Flood, Probe
from benchmarks.scale.usage import Measured, Usage
from benchmarks.scale.wire import Wires
from loco_redis._server import EmbeddedServer

SCARCE, IDLE = "where all wait", "where nobody waits"


def run(
    process: EmbeddedServer,
    *,
    slices: int = 7,
    seconds: float = 1.0,
    waiting: int = 1000,
    slots: int = 64,
    crowd: int = 256,
) -> list[Figure]:
    """The limit, in pairs and in empty scripts; by many connections; and who else must wait."""
    url = process.url
    with server.connected(process) as client, Wires() as wires:
        loads = {
            SCARCE: Load(wires, url, "scarce", waiting=waiting, slots=slots),
            IDLE: Load(wires, url, "idle", waiting=0, slots=slots),
            "crowd": Load(wires, url, "crowd", waiting=waiting, slots=slots, sessions=crowd),
        }
        keys = loads[SCARCE].sessions[0].release_arguments
        floods = {"empty": Flood(wires, url), "keys": Flood(wires, url, *keys)}
        found = {name: Measured() for name in (*loads, *floods)}
        for _ in range(slices):
            for name, load in loads.items():
                found[name].add(*_pairs(client, wires, seconds, load))
            for name, flood in floods.items():
                found[name].add(*_scripts(client, flood, seconds / 4))
        latency = _latency(client, wires, seconds, loads[SCARCE], Probe(wires, url))
    return [*_limits(found, crowd), latency]


def _pairs(client: redis.Redis, wires: Wires, seconds: float, load: Load) -> tuple[Usage, int]:
    before = load.pairs
    with Usage(client) as usage:
        run_for(wires, seconds, [load])
    return usage, load.pairs - before


def _scripts(client: redis.Redis, flood: Flood, seconds: float) -> tuple[Usage, int]:
    before = flood.answered
    with Usage(client) as usage:
        flood.run(seconds)
    return usage, flood.answered - before


def _limits(found: dict[str, Measured], crowd: int) -> list[Figure]:
    cost = {name: median(measured.usec) for name, measured in found.items()}
    rows = []
    for name in (SCARCE, IDLE):
        pair = f"acquire + release {name}"
        detail = f"processor time of a pair {found[name]}; seen {found[name].seen}"
        rows += [
            Figure(f"{pair}: one server's limit", 1e6 / cost[name], "pairs/s", None, detail),
            Figure(f'{pair}, against EVALSHA "return 1"', cost[name] / cost["empty"], "x", None,
                   f"{found[name]} / {found['empty']}; {found['empty'].seen}"),
        ]  # fmt: skip
    return [
        *rows,
        Figure('EVALSHA "return 1" with the keys and arguments of a release, against without',
               cost["keys"] / cost["empty"], "x", None, f"{found['keys']} / {found['empty']}"),
        Figure(f"the same by {crowd} connections, against 8", cost["crowd"] / cost[SCARCE], "x",
               None, f"{found['crowd']} / {found[SCARCE]}"),
    ]  # fmt: skip


def _latency(client: redis.Redis, wires: Wires, seconds: float, load: Load, probe: Probe) -> Figure:
    """By the server's own percentiles of scripts (Redis 7, Valkey), by its log of slow commands,
    and by PINGs beside the load."""
    client.config_resetstat()
    client.slowlog_reset()
    client.config_set("slowlog-log-slower-than", 1000)
    run_for(wires, seconds, [load], probe)
    scripts = client.info("latencystats").get("latency_percentiles_usec_evalsha", {})
    slow = [entry["duration"] for entry in client.slowlog_get(128)]
    ping = quantiles((1e3 * wait for wait in probe.waits), n=100, method="inclusive")
    said = [f"{name} {usec:.0f} us" for name, usec in scripts.items()]
    said.append(f"the longest {max(slow)} us" if slow else "none over 1 ms")
    return Figure(
        "PING of another client at the limit, p99",
        ping[98],
        "ms",
        None,
        f"p50 {ping[49]:.1f} ms; scripts: {', '.join(said)}",
    )
