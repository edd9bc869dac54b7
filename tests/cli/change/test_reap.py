"""`loco-redis reap`: sessions that are silent end."""

from __future__ import annotations

import pytest

from loco_redis import LOCOScheduler, SharedResource
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.servers import Server
from tests.workers import Workers

LEASE = 1.0


@pytest.fixture
def url(server: Server, workers: Workers) -> str:
    """A process that holds a slot has died, and nobody is left to notice."""
    with LOCOScheduler(
        resource=SharedResource("llm", capacity=1), redis=server.url, lease_ttl=LEASE
    ):
        pass
    worker = workers("victim", 1, LEASE, "hold")
    worker.expect("open")
    worker.expect("held")
    worker.end()
    return server.url


def test_who_is_alive_stays(fleet_at_work: Fleet) -> None:
    result = invoke("reap", "--yes", "-u", fleet_at_work.url)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "end what has expired of 2 sessions of llm_api; who is alive stays",
        "nothing has expired; 2 sessions live",
    ]


def test_the_clock_of_leases_stands_still_while_nobody_runs(url: str) -> None:
    """One call moves it by half a lease at most, so that an outage expires nobody; over a whole
    lease whoever is silent is gone."""
    result = invoke("reap", "--yes", "-u", url)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "nothing has expired; 1 session live"
    result = invoke("reap", "--wait", "--yes", "-u", url)
    assert result.exit_code == 0, result.output
    first, last = result.output.splitlines()
    assert first == "end what has expired of 1 session of llm within 1.00s; who is alive stays"
    assert last == "done: 2 requests and sessions have ended; 0 sessions live"


def test_nobody_to_ask(fleet_at_work: Fleet) -> None:
    result = invoke("reap", "-u", fleet_at_work.url)
    assert result.exit_code == 2
    assert "--yes" in result.output
