"""What a decision costs the server."""

from __future__ import annotations

import sys

import pytest

from loco_redis.orchestration.routing import Backend, RouterBudget
from loco_redis.orchestration.routing.settings import STRATEGIES, Strategy
from tests.orchestration.routing.routers import Routers, decide, report

BACKENDS, DECISIONS, MOST = 10, 500, 300.0


def per_call(routers: Routers) -> float:
    """Microseconds of the scripts since the last time."""
    client = routers.server.client
    stats = client.info("commandstats")["cmdstat_evalsha"]
    client.config_resetstat()
    assert stats["calls"] == DECISIONS
    return float(stats["usec_per_call"])


@pytest.mark.alone
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_decision_is_cheap(routers: Routers, strategy: Strategy) -> None:
    """With ten backends, all of which are known and in use: the figures of docs/routing.md."""
    backends = [Backend(f"b{n}", 100, price_in=n + 1.0, weight=n + 1.0) for n in range(BACKENDS)]
    router = routers(backends, strategy=strategy, slo=1, budget=RouterBudget(100))
    for name in router.backends:
        others = [other for other in router.backends if other != name]
        await report(router, await decide(router, exclude=others), "ok", latency=0.1)
    routers.server.client.config_resetstat()
    flying = [await decide(router, f"user-{n}", (1000, 500)) for n in range(DECISIONS)]
    deciding = per_call(routers)
    for each in flying:
        await report(router, each, "ok", latency=0.1, cost=0.001)
    reporting = per_call(routers)
    sys.stdout.write(f"\n{strategy}: {deciding:.0f} us to decide, {reporting:.0f} us to report\n")
    assert deciding + reporting < MOST
