"""Passwords are nowhere to be seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pickle
import subprocess
import sys
import traceback
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis.asyncio
from hypothesis import example, given
from hypothesis import strategies as st

from loco_redis import AsyncLOCOScheduler, LocoRedisError, LOCOScheduler, SharedResource, Task
from loco_redis._url import redact
from loco_redis.cli._rights import RIGHTS
from loco_redis.config import Endpoint, Settings
from loco_redis.metrics.prometheus import PrometheusExporter
from loco_redis.observe import Link, Observer
from tests.cli.calls import invoke
from tests.cli.every_command import Operator, governed_fleet
from tests.servers import Server
from tests.waiting import wait_until

PLAIN, ENCODED = "hunter2plain", "p@ss/w:rd?#%25 é"


def _forms(password: str) -> list[str]:
    """As it may turn up: as it is, percent-encoded, in a repr, in JSON."""
    forms = [password, quote(password, safe=""), quote(password), repr(password)[1:-1]]
    return [*forms, json.dumps(password)[1:-1]]


def _is_hidden(password: str, text: object) -> None:
    for form in _forms(password):
        assert form not in str(text), f"{form!r} in {str(text)[:2000]}"


@pytest.fixture(params=[PLAIN, ENCODED], ids=["plain", "encoded"])
def secret(request: pytest.FixtureRequest, server: Server) -> Iterator[tuple[str, str]]:
    """A password, and the server's URL with it."""
    password: str = request.param
    rules = ("on", f">{password}", "allkeys", "allchannels", "+@all")
    server.client.execute_command("ACL", "SETUSER", "guarded", "reset", *rules)
    login = f"unix://guarded:{quote(password, safe='')}@"
    yield password, server.url.replace("unix://", login)
    server.client.execute_command("ACL", "DELUSER", "guarded")
    server.client.delete("loco:resources")


async def test_passwords_are_not_logged_or_shown(
    secret: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not by any logger at DEBUG, not by the repr of anything, not in metrics."""
    password, url = secret
    caplog.set_level(logging.DEBUG)
    resource = SharedResource("llm", 1)
    async with AsyncLOCOScheduler([], resource, redis=url, events=10) as scheduler:
        await scheduler.submit_task("a", Task(payload=b"x"))
        async with scheduler.acquire("a") as lease:
            session = scheduler._session
            assert session is not None
            shown: list[Any] = [scheduler, scheduler.url, lease, session, session.outbox]
            shown += [session.endpoint, session.endpoint.location, session._heartbeat]
            shown += [await scheduler.snapshot(), scheduler.budget, scheduler.metrics]
        with Link(url) as link, PrometheusExporter(link) as exporter:
            exporter.start(0)
            observer = Observer(link, "llm")
            shown += [link, link.where, observer, observer.events(), exporter, exporter.url]
            page = await asyncio.to_thread(urllib.request.urlopen, exporter.url)
            shown.append(page.read().decode())
    shown += [repr(each) for each in shown]
    for each in (*shown, caplog.text):
        _is_hidden(password, each)


@pytest.mark.parametrize("fault", ["wrong", "away", "denied", "malformed", "client"])
async def test_passwords_are_not_in_errors(
    fault: str, secret: tuple[str, str], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor in their causes, tracebacks, notes and pickles."""
    password, url = secret
    caplog.set_level(logging.DEBUG)
    encoded = quote(password, safe="")
    if fault == "wrong":
        server.client.execute_command("ACL", "SETUSER", "guarded", "resetpass", ">other")
    elif fault == "away":
        url = f"redis://guarded:{encoded}@127.0.0.1:1/0"
    elif fault == "denied":
        server.client.execute_command("ACL", "SETUSER", "guarded", "-hset")
    elif fault == "malformed":
        url = f"redis://guarded:{encoded}@127.0.0.1:port/0"
    try:
        target: Any = url
        if fault == "client":
            target = redis.asyncio.Redis(port=1, password=password, username="guarded")
        scheduler = AsyncLOCOScheduler(
            [], SharedResource("llm", 1), redis=target, backend_timeout=0.2
        )
        try:
            await scheduler.snapshot()
        finally:
            await scheduler.aclose()
    except (LocoRedisError, ValueError) as error:
        told = [str(error), repr(error), vars(error), "".join(traceback.format_exception(error))]
        told += [pickle.dumps(error), caplog.text]
        for each in told:
            _is_hidden(password, each)
    else:
        raise AssertionError("no error")
    if isinstance(target, str):
        result = invoke("status", "-u", target)
        assert result.exit_code == 2
        _is_hidden(password, result.output)
        _is_hidden(password, "".join(traceback.format_exception(*(result.exc_info or ()))))


def test_passwords_are_in_no_report(secret: tuple[str, str]) -> None:
    """Of any command that looks, as text and as JSON, nor in what those that change say."""
    password, url = secret
    with governed_fleet(url) as fleet:
        operator = Operator(fleet, url, [])
        for path in RIGHTS:
            result = operator.call(path)
            assert result.exit_code == 0, (path, result.output)
            _is_hidden(password, result.output)
        for path in (
            "resources",
            "status",
            "top --no-stream",
            "why batch",
            "events",
            "costs",
            "doctor",
        ):
            wanted = () if path == "resources" else ("-n", "llm_api")
            result = invoke(*path.split(), *wanted, "-u", url, "--json")
            assert result.exit_code in (0, 1), (path, result.output)
            _is_hidden(password, result.output)


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "bench run --hosts 1 --workers 1 --duration 1s --warmup 0s --out {folder}",
        "replay {trace}",
    ],
)
def test_passwords_are_not_arguments_of_processes(
    command: str, secret: tuple[str, str], tmp_path: Path
) -> None:
    """Whatever a command starts gets its URL by the environment."""
    password, url = secret
    trace = tmp_path / "trace.csv"
    row = "2023-11-16 18:17:0{},100,1\n"
    header = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    trace.write_text(header + "".join(row.format(second) for second in range(4)))
    words = command.format(folder=tmp_path / "out", trace=trace).split()
    process = subprocess.Popen(
        [sys.executable, "-m", "loco_redis.cli", *words],
        env={**os.environ, "LOCO_REDIS_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(lambda: len(_family(process.pid)) > 1, timeout=30, what="its workers")
        for pid in _family(process.pid):
            _is_hidden(password, _arguments(pid))
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=30)
    _is_hidden(password, said)


def _family(pid: int) -> list[int]:
    """A process and all that it has started."""
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(each for child in below for each in _family(int(child)))]


def _arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return ""


_FORMS = (
    "redis://user:{}@host:6379/0",
    "redis://:{}@host/0",
    "redis://{}@host/0",
    "rediss://u:{}@h:1,h:2/x",
    "redis://host/0?password={}",
    "redis+sentinel://host/m/0?sentinel_password={}",
    "nonsense:{}@host",
)


@given(st.text(min_size=6, max_size=30).filter(lambda text: "://" not in text), st.booleans())
@example("][hunter2", False)
@example("[::1]hunter2", False)
@example("hunter[2]", True)
def test_passwords_are_redacted_in_whatever_url(password: str, encoded: bool) -> None:
    """Also where nobody has percent-encoded it, in a malformed URL, and in a query."""
    with contextlib.suppress(UnicodeEncodeError):
        for form in _FORMS:
            given = quote(password, safe="") if encoded or "?" in form else password
            told, usual = _told(form.format(given)), _told(form.format("Zq9Zq9"))
            for shown in (password, quote(password, safe="")):
                # A password that is a piece of what is always said gives nothing away.
                assert shown not in told or shown in usual


def _told(url: str) -> str:
    try:
        endpoint = Endpoint.parse(url)
    except ValueError as error:
        return f"{redact(url)} {error} {traceback.format_exception(error)[-1]}"
    return f"{redact(url)} {endpoint!r} {endpoint.location!r}"


def test_settings_hold_no_url() -> None:
    """What is validated by pydantic, whose errors show their input, never sees one."""
    assert not {"redis", "url"} & Settings.model_fields.keys()


def test_a_blocking_scheduler_hides_it_too(secret: tuple[str, str]) -> None:
    """In its repr and its url."""
    password, url = secret
    with LOCOScheduler([], SharedResource("llm", 1), redis=url) as scheduler:
        _is_hidden(password, f"{scheduler!r} {scheduler.url}")
