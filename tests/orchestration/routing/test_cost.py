"""What a decision costs the server, against what the core's scripts cost it in the same run."""

from __future__ import annotations

import sys
from statistics import median

import pytest

from benchmarks.crowd import Arrival, Crowd
from benchmarks.server import ServerTime
from loco_redis.orchestration.routing import Backend, RouterBudget
from loco_redis.orchestration.routing.settings import STRATEGIES, Strategy
from tests.orchestration.routing.routers import Routers, decide, report

BACKENDS, BLOCKS, EACH, MOST = 10, 41, 10, 1.5


@pytest.mark.alone
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_decision_is_cheap(routers: Routers, strategy: Strategy) -> None:
    """With ten backends, all of which are known and in use: the figures of docs/routing.md.

    Blocks of decisions, of their reports and of turns of a slot for which ten wait alternate, so
    what else the machine does meets all: the ratio is the median of those of neighbouring blocks.
    """
    backends = [Backend(f"b{n}", 100, price_in=n + 1.0, weight=n + 1.0) for n in range(BACKENDS)]
    router = routers(backends, strategy=strategy, slo=1, budget=RouterBudget(100))
    for name in router.backends:
        others = [other for other in router.backends if other != name]
        await report(router, await decide(router, exclude=others), "ok", latency=0.1)
    client = routers.server.client
    crowd = Crowd(client, "crowd", 10, Arrival("random", burst=False))
    deciding, reporting, turning = ServerTime(client), ServerTime(client), ServerTime(client)
    times: list[tuple[float, float, float]] = []
    for block in range(BLOCKS):
        with deciding:
            flying = [await decide(router, f"user-{block}-{n}", (1000, 500)) for n in range(EACH)]
        with reporting:
            for each in flying:
                await report(router, each, "ok", latency=0.1, cost=0.001)
        with turning:
            for _ in range(EACH):
                crowd.turn()
        assert (deciding.calls, reporting.calls, turning.calls) == (EACH, EACH, 2 * EACH)
        times.append((deciding.usec / EACH, reporting.usec / EACH, turning.usec / EACH))
    ratio = median((decision + end) / turn for decision, end, turn in times)
    decision, end, turn = (median(column) for column in zip(*times, strict=True))
    sys.stdout.write(
        f"\n{strategy}: {decision:.0f} us to decide, {end:.0f} us to report,"
        f" {turn:.0f} us to release and acquire: {ratio:.2f}\n"
    )
    assert ratio < MOST
