"""The soak's server: killed and started again at the same socket, with its files or without."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import BINARIES

_UP_WITHIN = 30.0
# The server ends with whoever started it: the shell's input is a pipe that only the soak holds.
_WATCHER = '"$@" </dev/null >/dev/null 2>&1 & echo $!; read -r _; kill -KILL $! 2>/dev/null; wait'


class SoakServer:
    """If `durable`, with an append-only file that is synced at each write.

    `client` is for short looks, in a thread; `pid` changes with each start.
    """

    def __init__(self, name: str, durable: bool = True) -> None:
        self._binary, self._durable = BINARIES[name], durable
        self._directory = Path(tempfile.mkdtemp(prefix="soak-"))
        self._data = self._directory / "data"
        self._data.mkdir()
        self.path = str(self._directory / "redis.sock")
        self.url = f"unix://{self.path}"
        self.client = redis.Redis(
            unix_socket_path=self.path, retry=Retry(NoBackoff(), 0), socket_timeout=5
        )
        self.version = ""

    def start(self) -> None:
        """Return once it answers; meanwhile clients may find it loading."""
        options = {
            "port": "0",
            "unixsocket": self.path,
            "dir": str(self._data),
            "logfile": str(self._directory / "server.log"),
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
            "auto-aof-rewrite-min-size": "16mb",
            "lua-time-limit": "50",
        }
        command = [str(self._binary)]
        for option, value in options.items():
            command += [f"--{option}", value]
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER, "watcher", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert self._watcher.stdout is not None
        self.pid = int(self._watcher.stdout.readline())
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _UP_WITHIN
        while True:
            try:
                if self.client.ping():
                    info = self.client.info("server")
                    self.version = info.get("valkey_version") or info["redis_version"]
                    return
            except redis.RedisError:
                if time.monotonic() > deadline:
                    log = (self._directory / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"the server does not come up:\n{log[-2000:]}") from None
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL, and return when it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def empty(self) -> None:
        """Remove the files of a server that does not run."""
        shutil.rmtree(self._data)
        self._data.mkdir()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def close(self) -> None:
        self.client.close()
        self._reap()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _reap(self) -> None:
        for pipe in (self._watcher.stdin, self._watcher.stdout):
            if pipe is not None:
                pipe.close()
        self._watcher.wait()
