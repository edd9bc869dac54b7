"""What `loco-redis doctor` finds: from what a server says of itself to findings, without I/O."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Info = Mapping[str, Any]

OLDEST_SERVER = (6, 2)
_SLOW_MEDIAN, _SLOW_PEAK = 0.005, 0.05  # seconds
_FULL, _NEARLY_FULL = 0.95, 0.8  # of maxmemory
_SERVER_CHECKS = ("version", "role", "eviction", "persistence", "memory", "replicas")


@dataclass(frozen=True)
class Finding:
    """What one check found: `state` is "note" where it is worth knowing, "wrong" where something
    does not work or may be lost; `advice` says what to do about it."""

    check: str
    state: Literal["ok", "note", "wrong"]
    text: str
    advice: str = ""


@dataclass(frozen=True)
class Unknown:
    """An answer that was not given."""

    why: str


def ok(check: str, text: str) -> Finding:
    return Finding(check, "ok", text)


def note(check: str, text: str, advice: str = "") -> Finding:
    return Finding(check, "note", text, advice)


def wrong(check: str, text: str, advice: str) -> Finding:
    return Finding(check, "wrong", text, advice)


def unknown(check: str, answer: Unknown) -> Finding:
    return note(check, f"unknown: {answer.why}")


def server(info: Info | Unknown, policy: str | Unknown, fsync: str | Unknown) -> list[Finding]:
    """From INFO, and from `maxmemory-policy` and `appendfsync` of CONFIG."""
    if isinstance(info, Unknown):
        found = [unknown(check, info) for check in _SERVER_CHECKS]
        found[2] = eviction(policy)
        return found
    return [
        version(info),
        role(info),
        eviction(str(info.get("maxmemory_policy") or "") or policy),
        persistence(info, fsync),
        memory(info),
        replicas(info),
    ]


def version(info: Info) -> Finding:
    """Valkey, too, says which Redis it is compatible with."""
    redis, valkey = str(info.get("redis_version", "0")), info.get("valkey_version")
    text = f"Valkey {valkey} (compatible with Redis {redis})" if valkey else f"Redis {redis}"
    parts = [int(part) if part.isdigit() else 0 for part in (*redis.split("."), "0")[:2]]
    if (parts[0], parts[1]) < OLDEST_SERVER:
        return wrong("version", text, "upgrade to Redis 6.2 or newer, or to Valkey")
    return ok("version", text)


def role(info: Info) -> Finding:
    if info.get("loading"):
        return wrong("role", "the server is still loading its data", "wait, and look again")
    if info.get("role") != "slave":
        return ok("role", "master")
    master = f"{info.get('master_host')}:{info.get('master_port')}"
    text = f"a replica of {master} (link {info.get('master_link_status')}): it takes no writes"
    return wrong("role", text, f"name the master {master}, or use redis+sentinel://")


def eviction(policy: str | Unknown) -> Finding:
    if isinstance(policy, Unknown):
        return unknown("eviction", policy)
    if policy == "noeviction":
        return ok("eviction", policy)
    advice = "CONFIG SET maxmemory-policy noeviction, and in its configuration file"
    if policy.startswith("volatile-"):
        text = f"{policy}: keys that expire may vanish; ours do not, but only noeviction is tested"
        return wrong("eviction", text, advice)
    return wrong("eviction", f"{policy}: with the memory full, queues and leases vanish", advice)


def persistence(info: Info, fsync: str | Unknown) -> Finding:
    check = "persistence"
    failing = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(name, "ok") != "ok"
    ]
    if failing:
        text = f"writing to its disk fails ({', '.join(failing)}): Redis may refuse all writes"
        return wrong(check, text, "see the server's log; is the disk full?")
    if info.get("aof_enabled"):
        how = f"appendfsync unknown ({fsync.why})" if isinstance(fsync, Unknown) else fsync
        return ok(check, f"AOF, {how}")
    text = (
        "no AOF: a restart forgets who waits and holds, budgets and costs since the last snapshot"
    )
    return note(check, text, "CONFIG SET appendonly yes, unless that may be lost")


def memory(info: Info) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most:
        return ok("memory", f"{size(used)} used, no maxmemory")
    share = used / most
    text = f"{size(used)} of {size(most)} used ({share:.0%})"
    advice = "raise maxmemory: on a full server new requests get BackendMemoryError"
    if share >= _FULL:
        return wrong("memory", text, advice)
    return note("memory", text, advice) if share >= _NEARLY_FULL else ok("memory", text)


def replicas(info: Info) -> Finding:
    if info.get("role") == "slave":
        return ok("replicas", "see the master")
    count = int(info.get("connected_slaves", 0))
    if not count:
        return ok("replicas", "none")
    return ok("replicas", f"{count}: they follow later, a failover may lose the last writes")


def latency(round_trips: Sequence[float]) -> Finding:
    """From seconds."""
    ranked = sorted(round_trips)
    median, peak = statistics.median(ranked), ranked[math.ceil(len(ranked) * 0.99) - 1]
    text = f"median {median * 1e3:.2f} ms, p99 {peak * 1e3:.2f} ms of {len(ranked)} pings"
    if median > _SLOW_MEDIAN or peak > _SLOW_PEAK:
        return note("latency", text, "each acquire and release waits so long: move nearer")
    return ok("latency", text)


def clock(ahead: float) -> Finding:
    """`ahead`: this host's clock less the server's, in seconds."""
    if abs(ahead) <= 1:
        return ok("clock", f"within {max(abs(ahead), 0.001):.3f} s of the server's")
    text = f"this host is {span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the server"
    return note("clock", text, "leases do not mind, but times in logs will not agree: use NTP")


def scripts(loaded: Sequence[object]) -> Finding:
    count = sum(map(bool, loaded))
    if count == len(loaded):
        return ok("scripts", f"all {count} of this version are loaded")
    text = f"{count} of {len(loaded)} of this version are loaded"
    return note("scripts", text, "nothing: a scheduler that opens loads the others")


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def span(seconds: float) -> str:
    """A time for people, roughly."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"
