"""A running exporter, scraped and read by Prometheus' own parser."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess

import fakeredis
import pytest

import loco_redis
from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BudgetPolicy,
    LOCOScheduler,
    MultiTenantScheduler,
    SharedResource,
    SLOBudget,
    Task,
    TrustScorer,
)
from loco_redis.metrics.catalogue import METRICS, PROCESS
from loco_redis.metrics.prometheus import PrometheusExporter
from loco_redis.observe import Link, Observer
from tests.metrics.scraping import parse, scrape, scraped
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually

PROCESS_NAMES = {metric.name for metric in PROCESS}


# What is served


async def test_figures_are_right_after_known_work(any_schedulers: Schedulers) -> None:
    """Two agents, one refused by its patience, one slot held, two requests waiting."""
    async with any_schedulers(capacity=1, max_waiters=9) as scheduler:
        for agent, cost in (("webhook", 1.5), ("batch", 4.0), ("batch", 2.0)):
            task = Task(weight=3.0, team="core", model="small", workflow="nightly")
            async with scheduler.acquire(agent, task) as lease:
                await lease.settle(cost)
        handle = await scheduler.acquire_start("webhook")
        with pytest.raises(AcquireTimeoutError):
            await scheduler.acquire_start("batch", timeout=0.01)
        waiting = [asyncio.create_task(_hold(scheduler, 5.0)) for _ in range(2)]
        await eventually(lambda: any_schedulers.waiting() == 2)
        await scheduler.submit_task("embed", Task(weight=2.0))
        with PrometheusExporter(scheduler) as exporter:
            found = await scraped(exporter.start(port=0))
        assert found.one("loco_redis_up") == 1
        assert found.one("loco_redis_capacity") == 1
        assert found.one("loco_redis_effective_capacity") == 1
        assert found.one("loco_redis_holders") == 1
        assert found.one("loco_redis_waiters") == 2
        assert found.one("loco_redis_max_waiters") == 9
        assert found.one("loco_redis_alpha") == 0.25
        assert found.one("loco_redis_tick") == 3
        assert found.one("loco_redis_paused") == 0
        assert found.one("loco_redis_sessions") == 1
        assert found.one("loco_redis_competing_agents") == 2
        assert found.one("loco_redis_durable_tasks") == 1
        assert 0 < found.one("loco_redis_oldest_wait_seconds") < 10
        assert 0 < found.one("loco_redis_oldest_lease_seconds") < 10
        assert found.one("loco_redis_grants_total") == 4
        assert found.one("loco_redis_releases_total") == 3
        assert found.one("loco_redis_reclaims_total") == 0
        assert found.all("loco_redis_refusals_total") == {("timeout",): 1}
        assert found.all("loco_redis_agent_cost_total") == {("webhook",): 1.5, ("batch",): 6.0}
        for kind, name in (("team", "core"), ("model", "small"), ("workflow", "nightly")):
            assert found.all(f"loco_redis_{kind}_cost_total") == {(name,): 7.5}
        assert found.all("loco_redis_agent_queue_depth") == {
            ("batch",): 10.0, ("embed",): 2.0, ("webhook",): 0.0,
        }  # fmt: skip
        assert 0 < found.one("loco_redis_agent_score", "batch") <= 1
        assert ("webhook",) not in found.all("loco_redis_agent_score")
        assert found.one("loco_redis_agent_holders", "webhook") == 1
        assert found.one("loco_redis_agent_waiters", "batch") == 2
        assert found.one("loco_redis_agent_oldest_wait_seconds", "batch") > 0
        assert found.one("loco_redis_wait_seconds_count") == 3
        assert found.one("loco_redis_wait_ticks_bucket", "0.0") == 3
        assert found.one("loco_redis_agent_wait_seconds_count", "batch") == 2
        assert found.one("loco_redis_handoff_seconds_count") == 4
        assert found.one("loco_redis_script_seconds_count", "release") == 3
        assert found.one("loco_redis_retries_total", "release") == 0
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await scheduler.release_handle(handle)
        async with scheduler.acquire("embed"):
            pass


async def _hold(scheduler: AsyncLOCOScheduler, weight: float) -> None:
    async with scheduler.acquire("batch", weight=weight):
        pass


async def test_governance_is_told(any_schedulers: Schedulers) -> None:
    """Budgets of agents and tenants, trust, SLO, outcomes and tokens; absent where they are off."""
    async with any_schedulers() as plain:
        await plain.reconfigure(capacity=2)
        with PrometheusExporter(plain) as exporter:
            found = await scraped(exporter.start(port=0))
        for name in ("agent_budget_limit", "agent_trust_score", "slo_state", "max_waiters"):
            assert found.all(f"loco_redis_{name}") == {}
    tenants = MultiTenantScheduler(
        SharedResource(NAME),
        redis=any_schedulers.server.url,
        budget=BudgetPolicy(limits={"analyst": 100.0}),
        trust_scorer=TrustScorer(),
        slo=SLOBudget(target_wait=5),
    )
    async with tenants:
        await tenants.register_tenant("acme", cost_ceiling=50.0)
        async with tenants.acquire("acme", "bot", Task(weight=2.0)):
            pass
        scheduler = tenants.scheduler
        async with scheduler.acquire("analyst", Task(weight=10.0)):
            pass
        handle = await scheduler.acquire_start("analyst", Task(weight=4.0, cost=6.0))
        await scheduler.metrics.record_actual_tokens("analyst", "x", 1234)
        await scheduler.metrics.outcomes.record("analyst", Task(), "failure")
        with PrometheusExporter(scheduler) as exporter:
            found = await scraped(exporter.start(port=0))
        assert found.all("loco_redis_agent_budget_spent") == {("analyst",): 10.0}
        assert found.all("loco_redis_agent_budget_reserved") == {("analyst",): 6.0}
        assert found.all("loco_redis_agent_budget_unsettled") == {("analyst",): 0.0}
        assert found.all("loco_redis_agent_budget_limit") == {("analyst",): 100.0}
        assert found.all("loco_redis_tenant_budget_spent") == {("acme",): 2.0}
        assert found.all("loco_redis_tenant_budget_limit") == {("acme",): 50.0}
        assert found.one("loco_redis_agent_trust_score", "analyst") > 500
        assert found.one("loco_redis_slo_violation_ratio") == 0
        assert found.one("loco_redis_slo_state", "healthy") == 1
        assert found.one("loco_redis_slo_state", "critical") == 0
        assert found.all("loco_redis_outcomes_total") == {("failure",): 1}
        assert found.all("loco_redis_agent_tokens_total") == {("analyst",): 1234}
        await scheduler.release_handle(handle)


async def test_accounts_nearest_to_their_limit_are_told(schedulers: Schedulers) -> None:
    """By what is used of it, not by how much is spent; those without a limit are not."""
    limits = {"small": 4.0, "middle": 100.0, "large": 1000.0}
    budget = BudgetPolicy(limits=limits)
    async with schedulers(budget=budget) as scheduler:
        for agent, weight in (("small", 3.0), ("middle", 20.0), ("large", 100.0), ("free", 500.0)):
            async with scheduler.acquire(agent, weight=weight):
                pass
        found = parse(await asyncio.to_thread(_text, scheduler))
        assert found.all("loco_redis_agent_budget_limit") == {
            (agent,): limit for agent, limit in limits.items()
        }
        found = parse(await asyncio.to_thread(_text, scheduler, max_agents=2))
        assert found.all("loco_redis_agent_budget_spent") == {("small",): 3.0, ("middle",): 20.0}


def _text(scheduler: AsyncLOCOScheduler, **options: int) -> str:
    with PrometheusExporter(scheduler, **options) as exporter:  # type: ignore[arg-type]
        return scrape(exporter.start(port=0).url).text


async def test_every_metric_is_served_with_its_help_and_type(schedulers: Schedulers) -> None:
    """Also those that have no sample; and none that the catalogue does not know."""
    async with schedulers() as scheduler:
        with PrometheusExporter(scheduler) as exporter:
            found = await scraped(exporter.start(port=0))
    for metric in METRICS.values():
        family = found.families[metric.name.removesuffix("_total")]
        assert family.documentation == metric.help
        assert family.type == metric.kind.value
    assert len(found.families) == len(METRICS)


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool, of Debian's prometheus")
async def test_promtool_finds_nothing_to_complain_about(schedulers: Schedulers) -> None:
    """Names, types and help texts are as Prometheus wants them."""
    async with schedulers() as scheduler:
        async with scheduler.acquire("a"):
            pass
        with PrometheusExporter(scheduler) as exporter:
            found = await scraped(exporter.start(port=0))
    command = ["promtool", "check", "metrics"]
    check = await asyncio.to_thread(
        subprocess.run, command, input=found.text, capture_output=True, text=True
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


async def test_names_of_agents_are_bounded_and_escaped(schedulers: Schedulers) -> None:
    """Quotes, backslashes, line ends and other scripts arrive as they are."""
    names = ['say "hi"', "back\\slash", "two\nlines", "näme-日本", "{curly}"]
    async with schedulers(capacity=5) as scheduler:
        for name in names:
            async with scheduler.acquire(name):
                pass
        with PrometheusExporter(scheduler) as exporter:
            costs = (await scraped(exporter.start(port=0))).all("loco_redis_agent_cost_total")
        assert costs == {(name,): 1.0 for name in names}
        with PrometheusExporter(scheduler, max_agents=2) as exporter:
            costs = (await scraped(exporter.start(port=0))).all("loco_redis_agent_cost_total")
        assert len(costs) == 3
        assert costs["__other__",] == 3.0


async def test_snapshot_is_what_a_scrape_would_say(schedulers: Schedulers) -> None:
    """Without a server: sample name -> labels and value of each sample."""
    async with schedulers(capacity=3) as scheduler:
        found = await asyncio.to_thread(PrometheusExporter(scheduler).snapshot)
    assert found["loco_redis_capacity"] == [({"resource": NAME}, 3.0)]
    assert found["loco_redis_wait_seconds_count"] == [({"resource": NAME}, 0.0)]


# Whose figures


async def test_schedulers_of_the_process_are_served_as_they_come_and_go(
    schedulers: Schedulers,
) -> None:
    """`enable_prometheus` is called once, at the start, before any scheduler is there."""
    exporter = loco_redis.enable_prometheus(port=0)
    try:
        assert loco_redis.enable_prometheus(port=0) is exporter
        assert (await scraped(exporter)).all("loco_redis_up") == {}
        async with schedulers():
            assert (await scraped(exporter)).one("loco_redis_up") == 1
            other = LOCOScheduler(
                resource=SharedResource("gpu", 4), redis=schedulers.server.url, lease_ttl=2.0
            )
            with other:
                up = (await scraped(exporter)).families["loco_redis_up"].samples
                assert [s.labels["resource"] for s in up] == ["gpu", NAME]
        assert (await scraped(exporter)).all("loco_redis_up") == {}
        with pytest.raises(RuntimeError, match="serves already"):
            loco_redis.enable_prometheus(port=0, fleet=False)
    finally:
        exporter.stop()
    again = loco_redis.enable_prometheus(port=0)
    assert again is not exporter
    again.stop()


async def test_a_worker_may_serve_its_own_figures_only(schedulers: Schedulers) -> None:
    """`fleet=False`: nothing of what Redis counts, and Redis is not asked."""
    async with schedulers() as scheduler:
        async with scheduler.acquire("a"):
            pass
        with PrometheusExporter(scheduler, fleet=False) as exporter:
            before = schedulers.server.client.info("stats")["total_connections_received"]
            found = await scraped(exporter.start(port=0))
            after = schedulers.server.client.info("stats")["total_connections_received"]
        families = {name for name, family in found.families.items() if family.samples}
        assert families <= {name.removesuffix("_total") for name in PROCESS_NAMES}
        assert found.one("loco_redis_handoff_seconds_count") == 1
        assert after == before


async def test_all_resources_of_a_server_also_later_ones(schedulers: Schedulers) -> None:
    """A Link means all that the registry knows; an entry whose resource is gone is left out."""
    server = schedulers.server
    with Link(server.url) as link, PrometheusExporter(link) as exporter:
        exporter.start(port=0)
        async with schedulers():
            assert (await scraped(exporter)).text.count("loco_redis_up{") == 1
            later = SharedResource("later", 1)
            async with AsyncLOCOScheduler(resource=later, redis=server.url):
                assert (await scraped(exporter)).text.count("loco_redis_up{") == 2
            server.client.sadd("loco:resources", "gone")
            up = (await scraped(exporter)).families["loco_redis_up"].samples
            assert {s.labels["resource"]: s.value for s in up} == {NAME: 1, "later": 1}


async def test_an_observer_of_nothing_is_down(redis_url: str) -> None:
    """A resource that was named and is not there has `up` 0; nothing else is made up."""
    with Link(redis_url) as link, PrometheusExporter(Observer(link, "nope")) as exporter:
        found = await scraped(exporter.start(port=0))
    assert found.sample_names == {"loco_redis_up"}
    assert found.one("loco_redis_up") == 0


async def test_an_embedded_server_is_found() -> None:
    """Its address is known only to the scheduler that started it."""
    scheduler = AsyncLOCOScheduler(resource=SharedResource("own", 1), redis="embedded://")
    with PrometheusExporter(scheduler) as exporter:
        exporter.start(port=0)
        assert (await scraped(exporter)).one("loco_redis_up") == 0
        async with scheduler:
            assert (await scraped(exporter)).one("loco_redis_up") == 1
        assert (await scraped(exporter)).one("loco_redis_up") == 0


async def test_a_fake_server_is_read_too() -> None:
    """For users' own tests."""
    client = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
    async with AsyncLOCOScheduler(resource=SharedResource("fake", 2), redis=client) as scheduler:
        async with scheduler.acquire("a"):
            pass
        found = await asyncio.to_thread(PrometheusExporter(scheduler).snapshot)
        assert found["loco_redis_releases_total"] == [({"resource": "fake"}, 1.0)]
    await client.aclose()


@pytest.mark.chaos
async def test_resources_of_a_cluster_are_read(cluster_url: str) -> None:
    """Those of all its slots."""
    resources = [SharedResource(f"resource-{number}", 1) for number in range(4)]
    async with contextlib.AsyncExitStack() as stack:
        for resource in resources:
            scheduler = AsyncLOCOScheduler(resource=resource, redis=cluster_url)
            await stack.enter_async_context(scheduler)
        with Link(cluster_url) as link, PrometheusExporter(link) as exporter:
            found = await asyncio.to_thread(exporter.snapshot)
    assert found["loco_redis_up"] == [({"resource": r.name}, 1.0) for r in resources]
