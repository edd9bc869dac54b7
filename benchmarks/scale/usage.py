"""What a server has used between two moments: its processor, its network, its commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import redis

from benchmarks.figure import spread

_OWN = ("info", "config|resetstat")  # what asking costs


class Usage:
    """Of a server, or of several together, inside a `with`.

    Attributes:
        wall, cpu: seconds; the server's processor time counts user and system.
        read, written: bytes of its network.
    """

    def __init__(self, *clients: redis.Redis) -> None:
        self._clients = clients
        self.wall = self.cpu = 0.0
        self.read = self.written = 0

    def __enter__(self) -> Usage:
        self._began, self._before = time.perf_counter(), self._look()
        return self

    def __exit__(self, *_: object) -> None:
        after = self._look()
        self.wall = time.perf_counter() - self._began
        self.cpu, read, written = (
            now - then for now, then in zip(after, self._before, strict=True)
        )
        self.read, self.written = round(read), round(written)

    @property
    def share(self) -> float:
        """Of the time, how much the server worked; of several servers the sum."""
        return self.cpu / self.wall

    def _look(self) -> tuple[float, float, float]:
        cpu, net = [c.info("cpu") for c in self._clients], [c.info("stats") for c in self._clients]
        return (
            sum(info["used_cpu_user"] + info["used_cpu_sys"] for info in cpu),
            sum(info["total_net_input_bytes"] for info in net),
            sum(info["total_net_output_bytes"] for info in net),
        )


@dataclass(slots=True)
class Measured:
    """Slices of one kind, all of the same units (pairs, scripts).

    Attributes:
        usec: processor time of the server for a unit, which does not depend on what else ran.
        rate: units per second.
        share: of the time, how much the server worked.
        read, written: bytes for a unit.
    """

    usec: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)

    def add(self, usage: Usage, units: int) -> None:
        self.usec.append(usage.cpu / units * 1e6)
        self.rate.append(units / usage.wall)
        self.share.append(usage.share)
        self.read.append(usage.read / units)
        self.written.append(usage.written / units)

    def __str__(self) -> str:
        return f"{median(self.usec):.1f} us ({spread(self.usec, 1)})"

    @property
    def seen(self) -> str:
        """What was seen, however busy the machine was."""
        return f"{median(self.rate):,.0f}/s with {median(self.share):.0%} of a core"

    @property
    def cost(self) -> tuple[float, float, float]:
        """Medians: microseconds of the processor, bytes read and written, for a unit."""
        read, written = median(self.read), median(self.written)
        return round(median(self.usec), 1), round(read), round(written)


@dataclass(slots=True)
class Inside:
    """What happens in scripts of one kind, in slices; all for one script.

    Attributes:
        usec: by the server's own clock, which goes on while another process has the core.
        calls, usec_of_calls: of Redis commands from inside it.
    """

    usec: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    usec_of_calls: list[float] = field(default_factory=list)

    def add(self, stats: Mapping[str, Mapping[str, Any]]) -> None:
        """`INFO commandstats` since the last `CONFIG RESETSTAT`."""
        found = {name.removeprefix("cmdstat_"): command for name, command in stats.items()}
        scripts = found.pop("evalsha")
        inner = [command for name, command in found.items() if name not in _OWN]
        self.usec.append(scripts["usec"] / scripts["calls"])
        self.calls.append(sum(command["calls"] for command in inner) / scripts["calls"])
        self.usec_of_calls.append(sum(command["usec"] for command in inner) / scripts["calls"])

    @property
    def medians(self) -> tuple[float, float, float]:
        return median(self.usec), median(self.calls), median(self.usec_of_calls)
