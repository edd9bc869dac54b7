"""`loco-redis slo`: how the waits of the fleet stand to their target."""

from __future__ import annotations

import json

import pytest

from loco_redis import SLOBudget
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.servers import Server


def test_without_an_slo(fleet_at_work: Fleet) -> None:
    result = invoke("slo", "-u", fleet_at_work.url)
    assert result.exit_code == 0
    assert result.output.startswith("llm_api has no SLO")
    assert json.loads(invoke("slo", "--json", "-u", fleet_at_work.url).output)["state"] is None


@pytest.mark.parametrize(
    ("waits", "state"),
    [
        ([], "healthy"),
        ([1, 2, 3, 9], "healthy"),
        ([1, 2, 9, 9], "warning"),
        ([1, 9, 9, 9], "critical"),
        ([9, 9, 9, 9], "exhausted"),
        ([9, 9, 9, 1, 1, 1], "healthy"),
    ],
)
def test_the_last_waits_decide(server: Server, waits: list[int], state: str) -> None:
    """As the budget itself says."""
    budget = SLOBudget(target_wait=5, window=4, warn=0.5, critical=0.75)
    with Fleet(server.url, "llm_api", capacity=1, slo=budget) as fleet:
        for ticks in waits:
            fleet.holder.slo.record("batch", ticks)
        found = json.loads(invoke("slo", "--json", "-u", server.url).output)
        assert found["state"] == state == fleet.holder.slo.state().value
        late = sum(ticks > 5 for ticks in waits[-4:])
        assert (found["counted"], found["late"]) == (min(len(waits), 4), late)
        assert (found["target_wait"], found["window"]) == (5, 4)
        text = invoke("slo", "-u", server.url).output
        assert text.startswith(f"{state}: {late} of the last {found['counted']} waits")
        assert "warning from 50%, critical from 75%" in text
