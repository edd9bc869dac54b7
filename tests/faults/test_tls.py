"""TLS: certificates that verify, and those that must be refused at once."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
import redis.asyncio

from loco_redis import AsyncLOCOScheduler, BackendUnavailableError, SharedResource
from loco_redis.config import Endpoint
from loco_redis.observe import Link
from tests.cli.calls import invoke
from tests.faults.conftest import Seen
from tests.faults.tls import Papers, terminated
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.waiting import eventually

PATIENCE = 30.0  # what a refusal must not wait for
AT_ONCE = 5.0


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


async def test_tls_with_an_authority_of_its_own(
    any_schedulers: Schedulers, papers: Papers, seen: Seen
) -> None:
    """All connections go by it: those of outbox, inbox, heartbeat, and of commands."""
    async with terminated(any_schedulers.server.url, papers.server()) as end:
        url = f"rediss://localhost:{end.port}/0?ssl_ca_certs={papers.authority}"
        async with any_schedulers(redis=url, lease_ttl=0.4) as one:
            async with any_schedulers(capacity=None, redis=url, lease_ttl=None) as two:
                handle = await one.acquire_start("a")
                waiting = asyncio.create_task(two.acquire_start("b"))
                await eventually(lambda: any_schedulers.waiting() == 1)
                await one.release_handle(handle)
                await two.release_handle(await waiting)
                deadline = one._session.ledger.deadline
                await eventually(lambda: one._session.ledger.deadline > deadline)
                result = await asyncio.to_thread(invoke, "status", "-u", url)
                assert result.exit_code == 0, result.output
    seen(f"two schedulers and a command on {any_schedulers.server.name}", "all by TLS")


async def test_tls_settings_of_a_ready_client(schedulers: Schedulers, papers: Papers) -> None:
    """The heartbeat's own connection has the given client's authority and certificate."""
    async with terminated(schedulers.server.url, papers.strict_server()) as end:
        client = redis.asyncio.Redis(
            host="localhost", port=end.port, ssl=True, ssl_ca_certs=str(papers.authority),
            ssl_certfile=str(papers.client), ssl_keyfile=str(papers.key),
        )  # fmt: skip
        async with schedulers(redis=client, lease_ttl=0.4) as scheduler:
            deadline = scheduler._session.ledger.deadline
            await eventually(lambda: scheduler._session.ledger.deadline > deadline)
        await client.aclose()


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("another host's", "Hostname mismatch|doesn't match|not valid for"),
        ("unknown authority", "self-signed|unable to get local issuer|verify failed"),
        ("system's authorities", "self-signed|unable to get local issuer|verify failed"),
        ("expired", "expired"),
        ("client's missing", "certificate required|CERTIFICATE_REQUIRED"),
    ],
)
async def test_tls_that_does_not_verify_is_refused_at_once(
    fault: str, why: str, server: Server, papers: Papers, seen: Seen
) -> None:
    """A typed error says why, of a scheduler, of an observer, and of a command; nobody waits for
    backend_timeout."""
    context = {
        "another host's": papers.server("other.example"),
        "expired": papers.server(expired=True),
        "client's missing": papers.strict_server(),
    }.get(fault, papers.server())
    trusted = {"unknown authority": papers.stranger, "system's authorities": None}
    option = f"?ssl_ca_certs={trusted.get(fault, papers.authority)}"
    if fault == "system's authorities":
        option = ""
    began = time.monotonic()
    async with terminated(server.url, context) as end:
        url = f"rediss://worker:secret@localhost:{end.port}/0{option}"
        scheduler = AsyncLOCOScheduler(
            [], SharedResource("llm", 1), redis=url, backend_timeout=PATIENCE
        )
        with pytest.raises(BackendUnavailableError, match=why) as caught:
            await scheduler.snapshot()
        await scheduler.aclose()
        took = time.monotonic() - began
        assert took < AT_ONCE
        assert "secret" not in str(caught.value)
        with Link(url) as link, pytest.raises(BackendUnavailableError, match=why):
            await asyncio.to_thread(link.call, "PING")
        result = await asyncio.to_thread(invoke, "status", "-u", url)
        assert result.exit_code == 2, result.output
        (line,) = result.output.splitlines()
        assert line.startswith("Error: no Redis at rediss://***@localhost"), line
    seen(f"certificate: {fault}", f"refused after {took:.2f} s")


async def test_tls_certificate_that_becomes_bad_while_it_runs(
    schedulers: Schedulers, papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls are refused at once with the reason; once it is good again the session goes on."""
    caplog.set_level(logging.INFO, "loco_redis")
    context = papers.server()
    async with terminated(schedulers.server.url, context) as end:
        url = f"rediss://localhost:{end.port}/0?ssl_ca_certs={papers.authority}"
        async with schedulers(redis=url, lease_ttl=30.0, backend_timeout=PATIENCE) as scheduler:
            session = scheduler.session_id
            papers.renew(context, expired=True)
            end.cut()
            began = time.monotonic()
            with pytest.raises(BackendUnavailableError, match="expired"):
                await scheduler.snapshot()
            assert time.monotonic() - began < AT_ONCE
            papers.renew(context)
            async with scheduler.acquire("a"):
                pass
            assert scheduler.session_id == session


def test_tls_urls_of_sentinels_and_clusters_take_the_same_options(papers: Papers) -> None:
    """Connections to sentinels, masters and nodes verify alike."""
    for form in (
        "rediss+sentinel://one,two/mymaster/0",
        "rediss+cluster://one,two",
        "rediss://one",
    ):
        where = Endpoint.parse(f"{form}?ssl_ca_certs={papers.authority}").location
        assert where.options["ssl"] is True
        assert where.options["ssl_ca_certs"] == str(papers.authority)
        if where.kind == "sentinel":
            assert where.sentinel_options["ssl_ca_certs"] == str(papers.authority)
            assert where.sentinel_options["ssl"] is True


async def test_tls_handshake_that_is_cut_is_tried_again(
    schedulers: Schedulers, papers: Papers
) -> None:
    """That is no refusal: a proxy or a server that restarts does so."""
    async with terminated(schedulers.server.url, papers.server()) as end:
        end.hang_up = 3
        url = f"rediss://localhost:{end.port}/0?ssl_ca_certs={papers.authority}"
        async with schedulers(redis=url) as scheduler, scheduler.acquire("a"):
            assert end.hang_up == 0


@pytest.mark.parametrize(
    "parameter", ["ssl_min_version=772", "ssl_check_hostname=false", "ssl_cert_reqs=none"]
)
async def test_tls_parameters_of_the_document_are_understood(
    parameter: str, schedulers: Schedulers, papers: Papers
) -> None:
    """Those that verify less let another host's certificate pass."""
    host = "localhost" if "version" in parameter else "other.example"
    async with terminated(schedulers.server.url, papers.server(host)) as end:
        url = f"rediss://localhost:{end.port}/0?ssl_ca_certs={papers.authority}&{parameter}"
        async with schedulers(redis=url) as scheduler, scheduler.acquire("a"):
            pass
