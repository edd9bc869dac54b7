"""Did every promise hold? The oracle looks at what the holders saw."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from loco_redis.cli.bench._bodies import Body, by_slot
from loco_redis.cli.bench._figures import BenchPlan, Verdict
from loco_redis.cli.bench._timebase import Timebase
from loco_redis.cli.play import _oracle


def reclaim_bound(plan: BenchPlan) -> float:
    """Seconds in which a dead worker's slot is usable again: its lease, the interval of the others'
    heartbeats (a third of it), and a second for a machine that has much to do."""
    return plan.lease * 4 / 3 + 1.0


def verdict(
    plan: BenchPlan,
    bodies: Sequence[Body],
    timebase: Timebase,
    *,
    kills: Sequence[float],
    peak: int,
    reclaimed: int,
    idle_longest: float,
) -> Verdict:
    """What the oracle says; `kills` are moments of the server's clock, the others are passed on."""
    seen = _oracle.most_at_once(timebase.certain(body.held) for body in bodies)
    found = _oracle.violations([body.held for body in bodies], timebase.doubt)
    if (most := max(peak, seen)) > plan.capacity:
        found.append(f"{most} slots were held at once, the capacity is {plan.capacity}")
    reclaims, bound = _reclaims(bodies, kills), reclaim_bound(plan)
    if reclaims and max(reclaims) > bound:
        late = max(reclaims)
        found.append(f"a killed worker's slot was usable after {late:.2f} s, not {bound:.2f} s")
    return Verdict(
        holds=len(bodies),
        peak=peak,
        peak_seen=seen,
        reclaims=len(reclaims),
        reclaim_longest=max(reclaims, default=None),
        reclaim_bound=bound,
        reclaimed=reclaimed,
        idle_longest=idle_longest,
        violations=tuple(found),
    )


def _reclaims(bodies: Sequence[Body], kills: Sequence[float]) -> list[float]:
    """Seconds until a killed worker's slots were held again: from the last kill before that, for a
    worker that is killed while it waits may be granted the slot until its own lease ends."""
    return [
        later.held.start - max((at for at in kills if at < later.held.start), default=0.0)
        for earlier, later in pairwise(by_slot(bodies))
        if earlier.killed and earlier.held.slot == later.held.slot
    ]
