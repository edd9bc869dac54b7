"""An exporter when Redis is away, slow or strict; started, stopped and used wrongly."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from loco_redis import (
    AsyncLOCOScheduler,
    BudgetPolicy,
    SharedResource,
    SLOBudget,
    TrustScorer,
)
from loco_redis._rights import acl_rules
from loco_redis._server import EmbeddedServer
from loco_redis.cli._rights import RIGHTS, UNNAMED
from loco_redis.metrics.catalogue import METRICS
from loco_redis.metrics.prometheus import PrometheusExporter
from loco_redis.observe import Link, Observer
from tests.metrics.scraping import parse, scrape, scraped
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.servers import BINARIES, DEFAULT, Server
from tests.waiting import eventually

# When things go wrong


async def test_a_user_of_few_rights_can_export(any_schedulers: Schedulers) -> None:
    """What reading commands need, and no more; what is missing is named once."""
    server = any_schedulers.server
    needed = {*RIGHTS["budgets list"], *RIGHTS["trust"], *UNNAMED}
    rules = acl_rules(tuple(sorted(needed))).split()
    account = ("ACL", "SETUSER", "reader", "reset", "on", ">x")
    url = server.url.replace("unix://", "unix://reader:x@")
    slo, trust = SLOBudget(), TrustScorer()
    async with any_schedulers(slo=slo, trust_scorer=trust, budget=BudgetPolicy(9)) as scheduler:
        async with scheduler.acquire("a"):
            pass
        try:
            server.client.execute_command(*account, *rules)
            with Link(url) as link, PrometheusExporter(link) as exporter:
                assert (await asyncio.to_thread(exporter.snapshot))["loco_redis_up"][0][1] == 1
                server.client.execute_command("ACL", "SETUSER", "reader", "-hscan")
                assert (await asyncio.to_thread(exporter.snapshot))["loco_redis_up"][0][1] == 0
        finally:
            server.client.execute_command("ACL", "DELUSER", "reader")


async def test_redis_that_is_away_is_told_within_the_timeout() -> None:
    """`up` 0 and the process' own figures; well again when Redis is."""
    with EmbeddedServer.start(BINARIES[DEFAULT], tcp=True) as server:
        port = int(server.url.rsplit(":", 1)[1].partition("/")[0])
        scheduler = AsyncLOCOScheduler(
            resource=SharedResource("llm", 1), redis=server.url, lease_ttl=2.0, backend_timeout=5.0
        )
        await scheduler.__aenter__()
        with PrometheusExporter(scheduler, timeout=2.0) as exporter:
            exporter.start(port=0)
            assert (await scraped(exporter)).one("loco_redis_up") == 1
            server.stop()
            found = await scraped(exporter)
            assert found.one("loco_redis_up") == 0
            assert found.one("loco_redis_script_seconds_count", "open") == 1
            assert "loco_redis_capacity" not in found.sample_names
            with EmbeddedServer.start(BINARIES[DEFAULT], port=port):
                await eventually(lambda: scheduler.session_id is not None)
                await scheduler.snapshot()
                assert (await scraped(exporter)).one("loco_redis_up") == 1
                await scheduler.aclose()


async def test_one_broken_resource_does_not_hide_the_others(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that nobody can read: `up` 0 for its resource, one line in the log however often it is
    scraped."""
    client = schedulers.server.client
    other = AsyncLOCOScheduler(resource=SharedResource("gpu", 1), redis=schedulers.server.url)
    async with schedulers() as scheduler, other:
        client.hset("loco:{gpu}:tallies", b"f\0x", "many")
        exporter = PrometheusExporter([other, scheduler])
        for _ in range(3):
            found = await asyncio.to_thread(exporter.snapshot)
            assert [value for _, value in found["loco_redis_up"]] == [0, 1]
        client.hdel("loco:{gpu}:tallies", b"f\0x")
        found = await asyncio.to_thread(exporter.snapshot)
        assert [value for _, value in found["loco_redis_up"]] == [1, 1]
    assert [r.message for r in caplog.records if r.message.startswith("metrics:")] == [
        "metrics: 'gpu' cannot be read: "
        "ValueError(\"invalid literal for int() with base 10: b'many'\")"
    ]


async def test_redis_that_hangs_is_told_within_the_timeout(server: Server) -> None:
    """A server that takes connections and says nothing; the same for all of its resources."""
    async with proxied(server) as proxy:
        proxy.silent = True
        with Link(proxy.url) as link:
            sources = [Observer(link, name) for name in ("one", "two", "three")]
            with PrometheusExporter(sources, timeout=1.0) as exporter:
                exporter.start(port=0)
                began = time.monotonic()
                found = await scraped(exporter)
                took = time.monotonic() - began
        assert [s.value for s in found.families["loco_redis_up"].samples] == [0, 0, 0]
        assert took < 1.5


async def test_the_event_loop_may_be_busy(schedulers: Schedulers) -> None:
    """A scrape needs no turn of it."""
    async with schedulers() as scheduler:
        with PrometheusExporter(scheduler) as exporter:
            exporter.start(port=0)
            found = scrape(exporter.url)  # blocks the loop
        assert found.one("loco_redis_up") == 1


# Starting and stopping


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def test_stopped_the_port_is_free_and_it_may_start_again() -> None:
    """Any number of times."""
    exporter = PrometheusExporter([])
    port = exporter.start(port=0).port
    assert port is not None
    for _ in range(3):
        assert exporter.url == f"http://127.0.0.1:{port}/metrics"
        assert not _port_is_free(port)
        scrape(exporter.url)
        exporter.stop()
        exporter.stop()
        assert (exporter.port, exporter.url) == (None, None)
        assert _port_is_free(port)
        exporter.start(port=port)
    exporter.stop()


def test_starting_twice_and_a_taken_port_are_refused() -> None:
    """By errors that say so; nothing is left behind."""
    with PrometheusExporter([]) as one, PrometheusExporter([]) as two:
        one.start(port=0)
        with pytest.raises(RuntimeError, match="serves already at http://127"):
            one.start(port=0)
        with pytest.raises(OSError, match="in use"):
            two.start(port=one.port or 0)
        assert repr(two) == "<PrometheusExporter not started>"
    with pytest.raises(ValueError, match="port must be an int"):
        one.start(port=70_000)


def test_a_client_that_says_nothing_does_not_keep_it_running() -> None:
    """Stopping waits for it a few seconds at most."""
    with PrometheusExporter([]) as exporter:
        exporter.start(port=0)
        with socket.create_connection(("127.0.0.1", exporter.port or 0)):
            scrape(exporter.url)
            began = time.monotonic()
            exporter.stop()
            assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "redis://localhost"}, "metrics are of schedulers"),
        ({"source": [1]}, "metrics are of schedulers"),
        ({"source": [], "max_agents": 0}, "max_agents must be an int"),
        ({"source": [], "timeout": float("nan")}, "timeout must be a number of seconds"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match=message):
        PrometheusExporter(**arguments)  # type: ignore[arg-type]


def test_without_the_extra_the_error_names_it() -> None:
    """The package itself imports without prometheus_client."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import loco_redis, loco_redis.metrics.prometheus\n"
        "loco_redis.enable_prometheus()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.strip().endswith(
        "prometheus_client is not installed: pip install 'loco-redis[prometheus]'"
    )


def test_the_parser_reads_what_openmetrics_would_say(redis_url: str) -> None:
    """Clients that ask for OpenMetrics get it, with the same samples."""
    with Link(redis_url) as link, PrometheusExporter(Observer(link, "x")) as exporter:
        exporter.start(port=0)
        ask = urllib.request.Request(
            exporter.url or "", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        with urllib.request.urlopen(ask) as reply:
            families = [*text_string_to_metric_families(reply.read().decode())]
        assert len(families) == len(METRICS)
        assert parse(scrape(exporter.url).text).one("loco_redis_up") == 0
