"""`loco-redis exporter` and `loco-redis dashboard`."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from loco_redis import LOCOScheduler, SharedResource
from loco_redis._server import _free_port
from tests.cli.calls import invoke
from tests.cli.commands import Command, loco_redis, needs_proc
from tests.cli.fleets import Fleet
from tests.metrics.scraping import scrape
from tests.servers import Server

pytestmark = needs_proc


@contextlib.contextmanager
def running(*options: str) -> Iterator[tuple[Command, subprocess.Popen[bytes], str]]:
    """The command, its process and the URL it printed; ended afterwards if it still runs."""
    command = loco_redis("exporter", "--port", "0", *options)
    with command.start() as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        try:
            yield command, process, url
        finally:
            process.kill()
    command.assert_nothing_runs()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_ends_it(fleet_at_work: Fleet, number: signal.Signals) -> None:
    """Both are the ordinary end: status 0, nothing on stderr but what it said at its start."""
    with running("-u", fleet_at_work.url) as (_, process, url):
        found = scrape(url)
        assert found.one("loco_redis_holders") == 2
        assert found.all("loco_redis_agent_waiters") == {
            ("batch",): 3.0, ("report",): 1.0, ("webhook",): 0.0,
        }  # fmt: skip
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out) == (0, b"")
        assert len(err.splitlines()) == 1
        assert b"serves all resources at" in err


def test_all_resources_or_one(server: Server) -> None:
    """One that is opened later is noticed, unless another one was named."""
    with (
        running("-u", server.url) as (_, _, everything),
        running("-u", server.url, "-n", "gpu") as (_, _, one),
    ):
        assert scrape(everything).sample_names == set()
        assert scrape(one).one("loco_redis_up") == 0
        with (
            LOCOScheduler(resource=SharedResource("gpu", 1), redis=server.url),
            LOCOScheduler(resource=SharedResource("llm", 1), redis=server.url),
        ):
            assert scrape(everything).text.count("loco_redis_up{") == 2
            assert scrape(one).text.count("loco_redis_up{") == 1
            assert scrape(one).one("loco_redis_up") == 1


def test_desired_workers_are_for_the_target_that_is_given(
    fleet_at_work: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By options or environment; requests that hold and wait count where it is said."""
    monkeypatch.setenv("LOCO_REDIS_WORKER_SLO", "1ms")
    url = fleet_at_work.url
    with (
        running("-u", url) as (_, _, tasks),
        running("-u", url, "--count-requests", "--worker-concurrency=1") as (_, _, all_of_it),
    ):
        assert scrape(tasks).one("loco_redis_desired_workers") == 0
        assert scrape(all_of_it).one("loco_redis_desired_workers") == 2


def test_redis_need_not_be_there_yet() -> None:
    """It says so, by `up` 0 and in one line, shows no password, and goes on."""
    url = f"redis://:hush@127.0.0.1:{_free_port()}/0"
    with running("-u", url) as (_, process, served):
        for _ in range(3):
            assert scrape(served).one("loco_redis_up") == 0
        process.terminate()
        _, err = process.communicate(timeout=10)
        assert process.returncode == 0
        assert len(err.splitlines()) == 2
        assert b"hush" not in err


def test_a_taken_port_is_one_line(redis_url: str) -> None:
    """With what to do, and status 2."""
    with running("-u", redis_url) as (_, _, url):
        port = url.rsplit(":", 1)[1].partition("/")[0]
        result = invoke("exporter", "-u", redis_url, "--port", port)
    assert result.exit_code == 2
    assert result.output == (
        f"Error: 127.0.0.1 port {port}: Address already in use: give another --port\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "which Redis? give --redis URL"),
        (["-u", "redis://127.0.0.1", "--timeout", "nan"], "nan is not in the range"),
        (["-u", "redis://127.0.0.1", "--port", "70000"], "70000 is not in the range"),
        (["-u", "embedded://"], "embedded:// starts a server of its own"),
    ],
)
def test_a_mistake_is_one_line(options: list[str], message: str) -> None:
    """Before anything is served."""
    result = invoke("exporter", *options)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_the_dashboard_is_printed() -> None:
    """Nothing but the JSON, so that it can be redirected into a file."""
    result = invoke("dashboard")
    assert result.exit_code == 0
    assert json.loads(result.output)["uid"] == "loco-redis"
