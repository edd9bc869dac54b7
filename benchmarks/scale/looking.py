"""What looking at a resource costs its server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

_KEPT = 100_000
_LOOKING, _LOGGED = ("cmdstat_evalsha", "cmdstat_hscan"), (b"EVALSHA", b"HSCAN")


@dataclass(frozen=True, slots=True)
class Look:
    """Milliseconds: the longest command, all of them, and until the caller had its answer."""

    longest: float
    whole: float
    wall: float
    commands: int

    def __str__(self) -> str:
        return (
            f"{self.commands} commands, {self.whole:.1f} ms of the server in all; "
            f"{self.wall / 1000:.2f} s for who looks"
        )


def looked(client: redis.Redis, look: Callable[[], object]) -> Look:
    """What `look` makes the server do: the longest by the log of slow commands, which is told to
    keep all; the sum by the counts of the commands that looking uses."""
    client.config_set("slowlog-max-len", _KEPT)
    client.config_set("slowlog-log-slower-than", 0)
    client.slowlog_reset()
    client.config_resetstat()
    began = time.perf_counter()
    look()
    wall = time.perf_counter() - began
    client.config_set("slowlog-log-slower-than", -1)
    stats = client.info("commandstats")
    used = [stats[name] for name in _LOOKING if name in stats]
    slow = [entry for entry in client.slowlog_get(_KEPT) if entry["command"].startswith(_LOGGED)]
    return Look(
        longest=max(entry["duration"] for entry in slow) / 1000,
        whole=sum(command["usec"] for command in used) / 1000,
        wall=1000 * wall,
        commands=sum(command["calls"] for command in used),
    )
