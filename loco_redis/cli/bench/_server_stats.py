"""What the server says of its own work: two looks at INFO, and the difference."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from loco_redis._endpoint import SyncClient
from loco_redis.cli.bench._figures import ServerFigures
from loco_redis.cli.bench._meeting import at


@dataclass(frozen=True, slots=True)
class Look:
    """INFO at one moment of this host's monotonic clock; all count from the server's start."""

    at: float
    version: str
    cpu: float
    scripts: int
    script_usec: float
    hints: int
    bytes_in: int
    bytes_out: int
    p50: float | None
    p99: float | None


def look(client: SyncClient, key: bytes) -> Look:
    """Ask the server, or the node of a cluster that has `key`."""
    sections = ("server", "cpu", "stats", "commandstats", "latencystats")
    info: dict[str, Any] = {}
    for section in sections:
        info.update(_info(client, key, section))
    # As functions (LOCO_REDIS_SCRIPTS) they are counted by another name.
    kind = max("evalsha", "fcall", key=lambda name: info.get(f"cmdstat_{name}", {}).get("calls", 0))
    script = info.get(f"cmdstat_{kind}", {})
    spread = info.get(f"latency_percentiles_usec_{kind}", {})
    valkey = info.get("valkey_version")
    return Look(
        at=time.monotonic(),
        version=f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}",
        cpu=info["used_cpu_sys"] + info["used_cpu_user"],
        scripts=script.get("calls", 0),
        script_usec=script.get("usec", 0.0),
        hints=info.get("cmdstat_publish", {}).get("calls", 0),
        bytes_in=info["total_net_input_bytes"],
        bytes_out=info["total_net_output_bytes"],
        p50=spread.get("p50"),
        p99=spread.get("p99"),
    )


def _info(client: SyncClient, key: bytes, section: str) -> dict[str, Any]:
    return dict(client.info(section, **at(client, key)))


def between(before: Look, after: Look, grants: int) -> ServerFigures:
    """What happened between two looks, for each of so many grants."""
    scripts = after.scripts - before.scripts
    usec = after.script_usec - before.script_usec
    each = max(1, grants)
    return ServerFigures(
        version=after.version,
        cpu=(after.cpu - before.cpu) / (after.at - before.at),
        script_usec=usec / max(1, scripts),
        script_usec_p50=after.p50,
        script_usec_p99=after.p99,
        script_usec_per_grant=usec / each,
        scripts_per_grant=scripts / each,
        hints_per_grant=(after.hints - before.hints) / each,
        bytes_in_per_grant=(after.bytes_in - before.bytes_in) / each,
        bytes_out_per_grant=(after.bytes_out - before.bytes_out) / each,
    )
