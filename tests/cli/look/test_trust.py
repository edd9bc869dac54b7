"""`loco-redis trust`: scores and their signals, without a session."""

from __future__ import annotations

import json

import pytest

from loco_redis import TrustScorer
from tests.cli.calls import invoke
from tests.cli.fleets import Fleet
from tests.servers import Server


def test_without_trust(fleet_at_work: Fleet) -> None:
    result = invoke("trust", "-u", fleet_at_work.url)
    assert result.exit_code == 0
    assert result.output.startswith("trust is off: ")
    found = json.loads(invoke("trust", "--json", "-u", fleet_at_work.url).output)
    assert (found["slo_target"], found["half_life"], found["agents"]) == (None, None, [])


def test_scores_are_those_of_the_scorer(server: Server) -> None:
    """The least trusted first, with every signal."""
    scorer = TrustScorer(slo_target=10, decay_half_life=1e6)
    with Fleet(server.url, "llm_api", capacity=2, trust_scorer=scorer) as fleet:
        assert "no agent has a record yet" in invoke("trust", "-u", server.url).output
        scorer_of = fleet.holder.trust_scorer
        scorer_of.record_success("careful", 0)
        scorer_of.record_success("slow\x1b[2J", 11)
        scorer_of.record_error("careless")
        scorer_of.record_timeout("careless")
        found = json.loads(invoke("trust", "--json", "-u", server.url).output)
        rows = found["agents"]
        assert (found["slo_target"], found["half_life"], found["total"]) == (10, 1e6, 3)
        assert [row["agent_id"] for row in rows] == ["careless", "slow\x1b[2J", "careful"]
        for row in rows:
            stats = scorer_of.stats(row["agent_id"])
            assert row["score"] == pytest.approx(stats.score, abs=0.1)
            assert row["multiplier"] == stats.priority_multiplier
            assert (row["fast"], row["late"]) == (stats.fast, stats.late)
        assert (rows[0]["errors"], rows[0]["timeouts"], rows[2]["successes"]) == (1, 1, 1)
        text = invoke("trust", "--agent", "careful", "-u", server.url).output
        assert text.splitlines()[0] == (
            "waits above 10 ticks are late; scores return to 500 by half in 11d13h"
        )
        assert text.splitlines()[-1].split() == ["careful", "525", "1.01", "1", "1", "0", "0", "0"]
        text = invoke("trust", "--limit", "2", "-u", server.url).output
        assert "slow\\x1b[2J" in text
        assert "1 more: --limit 3" in text


def test_looking_writes_nothing(server: Server) -> None:
    """No script that writes runs, and no session is opened."""
    # Heartbeats would count, too: the first comes after a quarter of the lease.
    with Fleet(server.url, "llm_api", capacity=2, lease_ttl=3600.0) as fleet:
        before = fleet.observer.snapshot().serial
        for command in ("trust", "slo", "budgets", "tenants", "policies"):
            assert invoke(command, "-u", server.url).exit_code == 0
        assert invoke("config", "get", "-u", server.url).exit_code == 0
        assert fleet.observer.snapshot().serial == before
