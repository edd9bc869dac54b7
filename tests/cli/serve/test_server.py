"""`loco-redis server`: it comes up, prints its URL, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import redis

from loco_redis._server import EmbeddedServer, _free_port
from tests.cli.calls import invoke
from tests.cli.commands import Command, loco_redis, needs_proc
from tests.waiting import wait_until

pytestmark = needs_proc


@contextlib.contextmanager
def running(*options: str) -> Iterator[tuple[Command, subprocess.Popen[bytes], str]]:
    """The command, its process and the URL it printed; ended afterwards if it still runs."""
    command = loco_redis("server", *options)
    with command.start() as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        try:
            yield command, process, url
        finally:
            process.kill()
    command.assert_nothing_runs()


def answers(url: str) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(url) as client:
        return bool(client.ping())
    return False


def directory_of(url: str) -> Path:
    return Path(unquote(url.removeprefix("unix://"))).parent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(number: signal.Signals) -> None:
    """On a socket that is the user's own; ended, neither server nor directory is left."""
    with running() as (command, process, url):
        assert url.startswith("unix://")
        assert answers(url)
        assert directory_of(url).stat().st_mode & 0o077 == 0
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out) == (0, b"")
        assert f"export LOCO_REDIS_URL={url}\n" in err.decode()
        assert "nothing is kept" in err.decode()
        command.assert_nothing_runs()
        assert not directory_of(url).exists()


def test_killed_it_takes_the_server_along() -> None:
    with running() as (command, process, url):
        process.kill()
        command.assert_nothing_runs()
        wait_until(lambda: not directory_of(url).exists())


def test_it_ends_with_its_server() -> None:
    """Shut down by somebody else: one line and status 1."""
    with running() as (_, process, url):
        with redis.Redis.from_url(url) as client:
            client.shutdown(nosave=True)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 1
        assert err.decode().splitlines()[-1].startswith("Error: the server has ended by itself")


def test_a_port_of_this_host() -> None:
    """The one asked for, or a free one; not reachable from elsewhere."""
    port = _free_port()
    with running("--port", str(port)) as (_, _, url):
        assert url == f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(url, decode_responses=True) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
            assert client.config_get("appendonly") == {"appendonly": "no"}
    with running("--port", "0") as (_, _, url):
        assert answers(url)


def test_a_port_in_use_is_one_line() -> None:
    with EmbeddedServer.start(tcp=True) as other:
        port = other.url.split(":")[2].removesuffix("/0")
        result = invoke("server", "--port", port)
    assert result.exit_code == 2
    assert result.output == (f"Error: port {port} of 127.0.0.1 is in use: give another --port\n")


def test_a_directory_keeps_the_data(tmp_path: Path) -> None:
    """Also when the command is killed; it is made if need be."""
    kept = tmp_path / "some where" / "data"
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with running("--dir", str(kept)) as (_, process, url):
            with redis.Redis.from_url(url) as client:
                client.incr("starts")
            process.send_signal(ending)
            process.wait(timeout=10)
    with running("--dir", str(kept)) as (_, _, url), redis.Redis.from_url(url) as client:
        assert client.get("starts") == b"2"
    assert kept.stat().st_mode & 0o077 == 0


def test_a_directory_without_persistence(tmp_path: Path) -> None:
    with running("--dir", str(tmp_path), "--no-persistence") as (_, process, url):
        with redis.Redis.from_url(url) as client:
            client.set("x", "1")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
    assert [entry.name for entry in tmp_path.iterdir()] == ["loco-redis.lock"]


def test_two_servers_do_not_share_a_directory(tmp_path: Path) -> None:
    """The second is refused in one line, as are options that make no sense."""
    with running("--dir", str(tmp_path)):
        result = invoke("server", "--dir", str(tmp_path))
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "is used by another server" in result.output
    result = invoke("server", "--save")
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "--save needs --dir" in result.output


def test_a_server_that_fails_is_one_line(tmp_path: Path) -> None:
    """Its own last words."""
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho first; echo cannot go on; exit 1\n")
    program.chmod(0o755)
    result = invoke("server", LOCO_REDIS_SERVER=os.fspath(program))
    assert (result.exit_code, result.output) == (2, "Error: cannot go on\n")


def test_help_has_an_example() -> None:
    result = invoke("server", "-h")
    assert "Example:  loco-redis server" in result.output
