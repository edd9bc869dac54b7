"""The server's wall clock is set, forward and back, while leases are held."""

from __future__ import annotations

import asyncio
import time

import pytest

from loco_redis import AsyncLOCOScheduler
from loco_redis.testing import invariants
from tests.faults.clock import CannotShift, shifting
from tests.faults.conftest import Seen
from tests.faults.topologies import client_of
from tests.faults.traffic import scheduler, state_at, state_at_rest, traffic
from tests.servers import BINARIES

pytestmark = pytest.mark.chaos

LEASE = 1.5
HOUR = 3600.0
RPM, BURST = 3000, 5


@pytest.mark.parametrize("name", list(BINARIES))
async def test_clock_step(name: str, seen: Seen) -> None:
    """Set by an hour forward, back, and to and fro four times a second for some leases, with
    holders, waiters, and a rate: nobody expires, tokens rise, a released slot is given on within a
    second, and the rate gives neither nothing nor more than its schedule."""
    try:
        with shifting(BINARIES[name]) as (server, clock):
            steps = [HOUR, -2 * HOUR, HOUR, HOUR, -HOUR] * 3
            rates = {"rpm": RPM, "rpm_burst": BURST}
            began = time.monotonic()
            async with (
                scheduler(server.url, 3, lease_ttl=LEASE, **rates) as holding,
                traffic(server.url, capacity=3, lease_ttl=LEASE, **rates) as load,
            ):
                handle = await holding.acquire_start("holder")
                before, waits = state_at(server), []
                for seconds in steps:
                    clock.step(seconds)
                    stepped = time.monotonic()
                    shown = client_of(server).time()[0] - time.time()
                    assert abs(shown - clock.shift) < 60
                    waits.append(await _passes(holding))
                    await load.flows(since=stepped, passages=1)
                    await asyncio.sleep(max(0.0, stepped + 0.25 - time.monotonic()))
                    after = state_at(server)
                    invariants.check_progress(before, after)
                    before = after
                assert not handle.lease.lost
                assert not handle.lease.uncertain
                await holding.release_handle(handle)
                told = await load.finish()
                took = time.monotonic() - began
                assert told.sessions == load.sessions
            state = state_at_rest(server)
    except CannotShift as why:
        pytest.skip(str(why))
    told.check_tokens()
    assert (told.failures, told.lost) == ([], [])
    assert told.overlap() <= 0.0
    assert state.number("reclaimed") == 0
    granted = state.number("granted")
    assert granted <= RPM / 60 * took + BURST
    assert max(waits) < 1.0
    seen(
        f"{name}: {granted} grants in 4 sessions of {LEASE} s, {RPM} a minute allowed; "
        f"{len(steps)} steps of an hour or two in {took:.1f} s",
        f"{state.number('reclaimed')} expired, {told.outcome}; {granted / took * 60:.0f} grants a "
        f"minute; longest wait after a step {max(waits):.2f} s; tokens rose",
    )


async def _passes(holding: AsyncLOCOScheduler) -> float:
    """Seconds that one passage through a slot takes."""
    began = time.monotonic()
    async with holding.acquire("prober"):
        return time.monotonic() - began
