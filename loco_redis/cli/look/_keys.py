"""The keyboard of a command that holds the terminal, and the signals that end it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import termios
import threading
from types import FrameType, TracebackType
from typing import Any, Self

#: Ctrl-Z, which comes as a key here: the screen has to be left before the process stops.
SUSPEND = "\x1a"

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# What arrow and function keys send; as single characters it would be read as commands.
_SEQUENCE = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)


class Keys:
    """Keys one by one, unechoed, inside a `with`; the terminal is as before at the end of it.

    In the main thread only, because it takes over the signals that end a process or tell of a new
    size of the terminal. They do not interrupt anything: `wait` returns, and the first that ends
    the process is in `ended`.

    Args:
        terminal: the descriptor of the keyboard, or None where there is none.
    """

    def __init__(self, terminal: int | None) -> None:
        self._terminal = terminal
        self._before: tuple[int, list[Any]] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._lock, self._is_open = threading.Lock(), False
        self.ended: int | None = None

    def __enter__(self) -> Self:
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._is_open = True
        self._wakeup_before = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _ENDS:
            # Such as SIGHUP under nohup, which stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._on_end)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, _on_resize)
        if self._terminal is not None:
            try:
                self._take_over(self._terminal)
            except BaseException:
                self._give_back()
                raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._give_back()

    def wake(self) -> None:
        """Makes `wait` return; from any thread, also after the end."""
        with self._lock:
            # Number `_waker` may be another file's after the end; a full pipe has woken it already.
            if self._is_open:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._waker, b"\0")

    def wait(self, timeout: float) -> str:
        """The keys that were pressed; nothing after `timeout` seconds, a signal, or `wake`.

        Raises:
            EOFError: the terminal is gone.
        """
        sources = [self._woken] if self._terminal is None else [self._woken, self._terminal]
        ready, _, _ = select.select(sources, [], [], max(timeout, 0))
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._terminal is None or self._terminal not in ready:
            return ""
        return self._read(self._terminal)

    def _read(self, terminal: int) -> str:
        try:
            got = os.read(terminal, 1024)
        except OSError as error:
            raise EOFError from error
        if not got:
            raise EOFError
        return _SEQUENCE.sub(b"", got).decode(errors="ignore")

    def _take_over(self, terminal: int) -> None:
        self._before = terminal, termios.tcgetattr(terminal)
        attributes = termios.tcgetattr(terminal)
        attributes[3] &= ~(termios.ICANON | termios.ECHO)
        control = attributes[6]
        control[termios.VMIN], control[termios.VTIME] = 1, 0
        control[termios.VSUSP] = bytes([os.fpathconf(terminal, "PC_VDISABLE")])
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)

    def _give_back(self) -> None:
        if self._before is not None:
            # The terminal may be gone; there is nothing to restore then.
            terminal, attributes = self._before
            with contextlib.suppress(termios.error):
                termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        with self._lock:
            self._is_open = False
            os.close(self._woken)
            os.close(self._waker)

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        self.ended = self.ended or number


def _on_resize(number: int, frame: FrameType | None) -> None:
    """Its arrival is written to the pipe, that is all."""
