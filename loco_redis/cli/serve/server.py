"""`loco-redis server`: the embedded server in the foreground, for whoever has no Redis at hand."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from collections.abc import Iterator
from pathlib import Path

import click
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from loco_redis._server import EmbeddedServer
from loco_redis._shared_server import URL_VARIABLE
from loco_redis.cli._ending import until_told
from loco_redis.cli._errors import Broken, Refused
from loco_redis.errors import BackendUnavailableError

_LOCK = "loco-redis.lock"
_PERSISTENT = ("--appendonly", "yes")


@click.command("server")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Listen on 127.0.0.1:N (0: a free port). Default: a unix socket of this user only.",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the data there (made if need be), and find it again at the next start.",
)
@click.option(
    "--save/--no-persistence",
    "saves",
    default=None,
    help="Write an append-only file; needs --dir and is the default with it.",
)
def command(port: int | None, directory: Path | None, saves: bool | None) -> None:
    """Run a private Redis or Valkey in the foreground, and print its URL.

    The URL is the first line of stdout. The server ends with this command: by Ctrl-C, by SIGTERM,
    or however else it goes; without --dir nothing is kept. It has no password: with --port every
    user of this host can reach it.

    Example:  loco-redis server --port 6380 --dir ./redis-data
    """
    if saves and directory is None:
        raise Refused("--save needs --dir: without it the directory is removed at the end")
    with contextlib.ExitStack() as stack:
        options: tuple[str, ...] = ()
        if directory is not None:
            options = ("--dir", str(stack.enter_context(_ours(directory))))
            options += _PERSISTENT if saves is not False else ()
        told = stack.enter_context(until_told())
        server = stack.enter_context(_running(port, options))
        _tell(server, directory if _PERSISTENT[0] in options else None)
        _wait(server, told)


@contextlib.contextmanager
def _ours(directory: Path) -> Iterator[Path]:
    """The directory, which no other server of ours uses: two would write into one file."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / _LOCK).open("w")
    except OSError as error:
        raise Refused(f"--dir {directory}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"--dir {directory} is used by another server: end that first") from None
        yield directory.resolve()


@contextlib.contextmanager
def _running(port: int | None, options: tuple[str, ...]) -> Iterator[EmbeddedServer]:
    try:
        server = EmbeddedServer.start(tcp=port is not None, port=port or 0, extra_args=options)
    except BackendUnavailableError as error:
        if "in use" in error.detail:
            raise Refused(f"port {port} of 127.0.0.1 is in use: give another --port") from None
        raise Refused(error.detail.strip().splitlines()[-1]) from None
    with server:
        try:
            yield server
        finally:
            if _PERSISTENT[0] in options:
                # Stopped, it is killed: what it has yet to write would be lost.
                with contextlib.suppress(redis.RedisError), _client(server) as client:
                    client.shutdown(nosave=True)


def _client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=5, retry=Retry(NoBackoff(), 0))


def _tell(server: EmbeddedServer, directory: Path | None) -> None:
    with _client(server) as client:
        info = client.info("server")
    valkey = info.get("valkey_version")
    version = f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}"
    kept = f"its data is kept in {directory}" if directory else "nothing is kept"
    click.echo(
        f"{version} (pid {server.pid}) runs until Ctrl-C; {kept}. In another terminal:\n"
        f"  export {URL_VARIABLE}={server.url}\n"
        "  loco-redis resources",
        err=True,
    )
    # Last: who reads it may go on at once.
    click.echo(server.url)


def _wait(server: EmbeddedServer, told: int) -> None:
    """Until a signal comes, or the server has ended by itself, which closes its output."""
    output = server._output.fileno()
    while told not in select.select([output, told], [], [])[0]:
        if not os.read(output, 65536):
            raise Broken("the server has ended by itself: it was shut down or killed")
