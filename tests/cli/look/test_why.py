"""`loco-redis why`: what it says of agents that wait for every reason there is."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from loco_redis import Agent, SharedResource, Task
from loco_redis.governance import BudgetPolicy, MultiTenantScheduler, TrustScorer
from tests.cli.calls import invoke
from tests.cli.commands import loco_redis
from tests.cli.fleets import Fleet
from tests.servers import Server


def why(fleet: Fleet, agent: str, *options: str) -> dict[str, Any]:
    result = invoke("why", agent, "--json", "-u", fleet.url, *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def kinds(report: dict[str, Any]) -> list[str]:
    return [blocker["kind"] for blocker in report["blockers"]]


@pytest.fixture
def small_fleet(server: Server) -> Iterator[Fleet]:
    """One slot, which nobody holds yet."""
    with Fleet(server.url, "llm_api", capacity=1) as fleet:
        yield fleet


def test_the_first_line_says_it(fleet_at_work: Fleet) -> None:
    """`report` has the deepest queue, so `batch` is second; the figures follow, without colour."""
    result = invoke("why", "batch", "-u", fleet_at_work.url)
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    lines = [line.rstrip() for line in result.output.splitlines()]
    assert lines[0] == "batch waits: all 2 slots are held; 1 agent goes before it."
    assert "score     0.150 = 0.150 depth + 0.000 age    rank 2 of 2 who wait" in lines
    assert "depth     alpha 0.25 * Q 3 / max Q 5 = 0.150" in lines
    assert "age       0.75 * D 0 / max D 0 ticks = 0.000" in lines
    assert len(re.findall(r"^  batch .* 1 +\w{16}:\d{12}$", "\n".join(lines), re.M)) == 3
    assert invoke("explain", "batch", "-u", fleet_at_work.url).output.startswith("batch waits")


def test_json_has_all_of_it(fleet_at_work: Fleet) -> None:
    """Who goes before it, what it waits with, who holds the slots and for how long."""
    found = why(fleet_at_work, "batch", "--all")
    assert (found["schema"], found["resource"], found["state"]) == (1, "llm_api", "waiting")
    assert kinds(found) == ["no_slot"]
    assert (found["max_depth"], found["max_age"], found["alpha"]) == (5.0, 0, 0.25)
    own = found["standing"]
    assert (own["rank"], own["queue_depth_weighted"], own["waiting"]) == (2, 3.0, 3)
    assert own["score"] == fleet_at_work.observer.agent("batch").score
    assert [row["agent_id"] for row in found["before"]] == ["report"]
    assert (found["before_total"], found["waiting_agents"]) == (1, 2)
    assert [row["agent_id"] for row in found["ranking"]] == ["report", "batch"]
    assert [row["agent_id"] for row in found["requests"]] == ["batch"] * 3
    assert [row["agent_id"] for row in found["holders"]] == ["webhook", "batch"]
    assert all(row["age"] > 0 and row["pid"] for row in found["holders"])
    assert (found["holding"], found["held"], found["refusal"]) == (1, 2, None)


def test_who_is_first(fleet_at_work: Fleet) -> None:
    found = why(fleet_at_work, "report")
    assert found["reason"] == "report waits: all 2 slots are held; it is next."
    assert found["before"] == []


def test_who_only_holds(fleet_at_work: Fleet) -> None:
    """It waits for nothing; what a new request would wait for is said all the same."""
    found = why(fleet_at_work, "webhook")
    assert found["reason"] == "webhook waits for nothing: it holds 1 slot."
    assert (found["state"], found["standing"]) == ("holding", None)
    result = invoke("why", "webhook", "-u", fleet_at_work.url)
    assert "would wait  all 2 slots are held" in result.output


def test_nobody_knows_it(fleet_at_work: Fleet) -> None:
    """Status 1 and one line; control characters in the name do nothing."""
    result = invoke("why", "no\x1b[31mbody", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    assert "llm_api knows no agent 'no\\x1b[31mbody'" in result.output
    assert len(result.output.splitlines()) == 1
    assert invoke("why", "", "-u", fleet_at_work.url).exit_code == 2


def test_paused(fleet_at_work: Fleet) -> None:
    """Before everything else."""
    fleet_at_work.holder.reconfigure(paused=True)
    found = why(fleet_at_work, "report")
    assert found["reason"] == "report waits: llm_api is paused; it is next."
    assert kinds(found) == ["paused", "no_slot"]


def test_throttled(small_fleet: Fleet) -> None:
    """How long nothing is granted; with adaptive capacity how many slots are left, too."""
    small_fleet.holder.reconfigure(capacity=4, adaptive_capacity=True)
    handles = [small_fleet.hold("a"), small_fleet.hold("b")]
    handles[0].lease.throttled(60)
    small_fleet.wait("c")
    found = why(small_fleet, "c")
    assert kinds(found) == ["throttled", "adaptive"]
    assert re.match(
        r"c waits: a holder was throttled, so nothing is granted for [56]\d", found["reason"]
    )
    assert 50 < found["blockers"][0]["seconds"] <= 60
    assert found["blockers"][1]["words"].startswith("since a holder was throttled 2 of 4 slots")


@pytest.mark.parametrize(("rate", "burst", "wait"), [("rpm", 1, 10), ("tpm", 6, 30)])
def test_the_rate_of_the_resource(small_fleet: Fleet, rate: str, burst: int, wait: int) -> None:
    """When the next one is let through: by the requests a minute, or by the tokens it needs."""
    small_fleet.holder.reconfigure(capacity=2, **{rate: 6, f"{rate}_burst": burst})
    small_fleet.hold("early", task=Task(tokens=3))
    small_fleet.wait("late", task=Task(tokens=6))
    found = why(small_fleet, "late")
    assert kinds(found) == ["rate"]
    assert f"({rate}=6) lets the next one through in" in found["reason"]
    assert wait - 5 < found["blockers"][0]["seconds"] <= wait


def test_its_own_cap(small_fleet: Fleet) -> None:
    """A slot is free, but not for it; who goes before it does not matter then."""
    small_fleet.holder.reconfigure(capacity=2)
    small_fleet.holder.set_max_concurrency("a", 1)
    small_fleet.hold("a")
    small_fleet.wait("a")
    found = why(small_fleet, "a")
    assert found["reason"] == "a waits: it holds 1 of the 1 slots that it may."
    assert found["standing"]["capped"]
    (limits,) = found["limits"]
    assert (limits["scope"], limits["cap"], limits["held"]) == ("agent", 1, 1)
    assert "cap       1 of 1 slots held" in invoke("why", "a", "-u", small_fleet.url).output


async def _register(url: str, **limits: Any) -> None:
    async with MultiTenantScheduler(SharedResource("llm_api"), redis=url) as tenants:
        await tenants.register_tenant("acme", **limits)


def test_the_cap_of_its_tenant(small_fleet: Fleet) -> None:
    """Others of the tenant hold what it may hold."""
    small_fleet.holder.reconfigure(capacity=2)
    asyncio.run(_register(small_fleet.url, max_concurrency=1, cost_ceiling=50))
    small_fleet.hold("acme/a")
    small_fleet.wait("acme/b")
    found = why(small_fleet, "acme/b")
    words = "its tenant acme holds 1 of the 1 slots that it may"
    assert found["reason"] == f"acme/b waits: {words}."
    assert [row["scope"] for row in found["limits"]] == ["tenant"]
    shown = invoke("why", "acme/b", "-u", small_fleet.url).output
    assert "budget    50: 0 spent, 2 reserved, 48 left (tenant acme)" in shown


def test_its_budget(server: Server) -> None:
    """How it stands, and that a new task would be refused, in the words of its error."""
    with Fleet(server.url, "llm_api", 1, budget=BudgetPolicy(3.0, period="day")) as fleet:
        fleet.hold("a", weight=2.0)
        fleet.wait("a", weight=1.0)
        found = why(fleet, "a")
        assert found["limits"][0]["left"] == 0.0
        assert "policy 'budget' refuses agent 'a'" in found["refusal"]
        shown = invoke("why", "a", "-u", fleet.url).output
        assert "budget    3 a day: 0 spent, 3 reserved, 0 left" in shown
        assert "would be refused: policy 'budget'" in shown
        assert why(fleet, "a")["state"] == "waiting"


def test_a_full_queue(server: Server) -> None:
    """A new task would meet backpressure."""
    with Fleet(server.url, "llm_api", 1, max_waiters=1) as fleet:
        fleet.hold("a")
        assert why(fleet, "a")["refusal"] is None
        fleet.wait("b")
        assert "max_waiters=1" in why(fleet, "a")["refusal"]


def test_trust(server: Server) -> None:
    """The factor is told where it is not 1, and is in the score."""
    with Fleet(server.url, "llm_api", 1, trust_scorer=TrustScorer()) as fleet:
        fleet.hold("x")
        for _ in range(20):
            fleet.holder.trust_scorer.record_error("a")
        fleet.wait("a")
        own = why(fleet, "a")["standing"]
        assert own["trust"] == 0.8
        assert own["score"] == 0.8 * (own["depth_term"] + own["age_term"])
        assert "* 0.8 trust" in invoke("why", "a", "-u", fleet.url).output


def test_tasks_that_nobody_serves(small_fleet: Fleet) -> None:
    """Queued tasks alone do not ask for a slot."""
    small_fleet.holder.submit_task("nightly", Task(2.0))
    found = why(small_fleet, "nightly")
    reason = "nightly has 1 task queued, and nobody asks for a slot to serve them."
    assert (found["reason"], found["state"]) == (reason, "unserved")
    assert kinds(found) == ["no_request"]
    assert found["standing"]["rank"] is None


def test_idle(small_fleet: Fleet) -> None:
    """Registered, and that is all."""
    small_fleet.holder.register_agent(Agent("quiet"))
    found = why(small_fleet, "quiet")
    assert (found["reason"], found["state"], found["blockers"]) == ("quiet is idle.", "idle", [])


def test_long_lists_are_cut(server: Server) -> None:
    """Five requests of its own, ten agents before it, and how many there are; --all has all."""
    with Fleet(server.url, "llm_api", 1) as fleet:
        fleet.hold("x")
        for number in range(12):
            fleet.wait(f"agent{number:02d}", weight=20.0 - number)
        for _ in range(7):
            fleet.wait("late")
        found = why(fleet, "late")
        assert (len(found["before"]), found["before_total"]) == (10, 12)
        assert (len(found["requests"]), found["standing"]["waiting"]) == (5, 7)
        assert found["ranking"] == []
        assert len(why(fleet, "late", "--all")["ranking"]) == 13
        shown = invoke("why", "late", "-u", fleet.url).output
        assert "before it  10 of 12" in shown
        assert "it waits  5 of 7" in shown


def test_on_a_terminal_of_80_columns(fleet_at_work: Fleet) -> None:
    """The reason is bold, and no line is too long."""
    status, got = loco_redis("why", "batch", "-u", fleet_at_work.url).run_on_terminal(columns=80)
    assert status == 0
    assert "\x1b[1mbatch waits: all 2 slots are held; 1 agent goes before it." in got
    lines = re.sub(r"\x1b\[[0-9;]*m", "", got).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
