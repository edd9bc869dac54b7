"""A person at a terminal: what is on the screen of a real process, and keys for it."""

from __future__ import annotations

import os
import re
import sys
import termios
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pexpect
import pyte

from tests.waiting import wait_until

_ROOT = Path(__file__).parents[2]
_ALTERNATE_SCREEN = 1049 << 5  # as pyte numbers private modes
COMMAND = (sys.executable, "-m", "loco_redis.cli")


class Terminal:
    """A process on a pseudo-terminal of its own, inside a `with`, which kills it at the end.

    Attributes:
        got: all that the process wrote.
        attributes: of the terminal before the process changed them.
    """

    def __init__(
        self,
        *arguments: str,
        columns: int = 100,
        rows: int = 30,
        command: Sequence[str] = COMMAND,
        **environment: str,
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.got = b""
        self.process = pexpect.spawn(
            command[0],
            [*command[1:], *arguments],
            dimensions=(rows, columns),
            cwd=str(_ROOT),
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )
        self.process.delaybeforesend = None
        self.attributes = self._attributes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.close(force=True)

    def lines(self) -> list[str]:
        """What can be seen now, without the blanks at the end."""
        self._take()
        return [line.rstrip() for line in self._screen.display]

    def shows(self, pattern: str) -> bool:
        """Whether a line matches."""
        return any(re.search(pattern, line) for line in self.lines())

    def wait_for(self, pattern: str, timeout: float = 15.0) -> None:
        try:
            wait_until(lambda: self.shows(pattern), timeout)
        except AssertionError:
            seen = "\n".join(self.lines())
            raise AssertionError(
                f"no line with {pattern!r} within {timeout:g} s:\n{seen}"
            ) from None

    def colour_of(self, text: str) -> str:
        """Of the first character of `text` where it is seen first."""
        for row, line in enumerate(self.lines()):
            if text in line:
                return str(self._screen.buffer[row][line.index(text)].fg)
        raise AssertionError(f"{text!r} is not on the screen")

    def press(self, keys: str) -> None:
        self.process.send(keys)

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)
        self.process.setwinsize(rows, columns)

    def end(self, timeout: float = 10.0) -> int:
        """The exit status, once the process has ended; of one that a signal killed -number."""
        wait_until(lambda: not self.process.isalive(), timeout, "the end of the process")
        self._take()
        status = self.process.exitstatus
        return -int(self.process.signalstatus) if status is None else int(status)

    @property
    def is_alternate(self) -> bool:
        self._take()
        return _ALTERNATE_SCREEN in self._screen.mode

    def assert_clean(self) -> None:
        """The main screen, a cursor that is seen, line editing and echo as before."""
        assert not self.is_alternate
        assert not self._screen.cursor.hidden
        assert self._attributes() == self.attributes

    def _attributes(self) -> list[Any]:
        return termios.tcgetattr(self.process.child_fd)

    def _take(self) -> None:
        while True:
            try:
                chunk = self.process.read_nonblocking(65536, timeout=0)
            except (pexpect.TIMEOUT, pexpect.EOF):
                return
            self.got += chunk
            self._stream.feed(chunk)
