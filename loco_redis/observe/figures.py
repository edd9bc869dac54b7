"""Figures of the whole fleet, read over a link: what was spent, how long agents waited, who was
refused, what came of the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loco_redis._keys import Keys
from loco_redis.metrics.tallies import by_dimension, in_units
from loco_redis.metrics.waits import Cells, waits_by_agent
from loco_redis.observe.observer import Observer

#: What costs can be told by, and its dimension in `tallies`; agents have a hash of their own.
COST_DIMENSIONS = {"agent": "", "team": "t", "workflow": "w", "model": "m", "session": "s"}


@dataclass(frozen=True, slots=True)
class Figures:
    """Counted since the resource exists; `__other__` has what is beyond the first 10,000 names of
    a kind.

    Attributes:
        costs: "agent", "team", "workflow", "model" -> name -> units of cost.
        waits: agent -> the waits of its finished leases.
        refusals: policy, "backpressure" or "timeout" -> requests that were not served.
        outcomes: outcome -> pieces of work that were recorded so.
        tokens: agent -> tokens that were recorded.
    """

    costs: Mapping[str, Mapping[str, float]]
    waits: Mapping[str, Cells]
    refusals: Mapping[str, int]
    outcomes: Mapping[str, int]
    tokens: Mapping[str, int]


def read_figures(observer: Observer) -> Figures:
    """All but the costs by session, read in pages: each is as it was at some moment of the
    reading."""
    # Among them pairs of dimensions, which are left out: reading once costs Redis less than that.
    found = _read(observer, b"[fktmwo]*")
    by_label = {
        by: in_units(found.get(COST_DIMENSIONS[by], {})) for by in ("team", "workflow", "model")
    }
    return Figures(
        costs={"agent": costs_by(observer, "agent"), **by_label},
        waits=waits_by_agent(found.get("wait", {})),
        refusals=found.get("f", {}),
        outcomes=found.get("oon", {}),
        tokens=found.get("k", {}),
    )


def costs_by(observer: Observer, by: str) -> dict[str, float]:
    """Name -> units of cost, by one of `COST_DIMENSIONS`; a task without such a label counts for
    its agent only."""
    dimension = COST_DIMENSIONS[by]
    if dimension:
        return in_units(_read(observer, dimension.encode() + b"\0*").get(dimension, {}))
    rows = observer.link.scan(Keys(observer.name).costs)
    return in_units({agent.decode(errors="replace"): int(cost) for agent, cost in rows.items()})


def _read(observer: Observer, pattern: bytes) -> dict[str, dict[str, int]]:
    return by_dimension(observer.link.scan(Keys(observer.name).tallies, pattern))
