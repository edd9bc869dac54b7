"""Ctrl-C and SIGTERM as the ordinary end of a command that runs until it is told."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

_ENDS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def until_told() -> Iterator[int]:
    """A descriptor that can be read from once such a signal has come. In the main thread only.

    Nothing is raised where the signal finds this process: in a finalizer that would be lost. Nor is
    a lock taken there, which the interrupted code may hold.
    """
    told, teller = os.pipe()
    os.set_blocking(teller, False)
    handlers = {each: signal.signal(each, _noted) for each in _ENDS}
    wakeup = signal.set_wakeup_fd(teller, warn_on_full_buffer=False)
    try:
        yield told
    finally:
        signal.set_wakeup_fd(wakeup)
        for each, handler in handlers.items():
            signal.signal(each, handler)
        os.close(told)
        os.close(teller)


def _noted(number: int, frame: FrameType | None) -> None:
    """Its arrival is written to the descriptor, that is all."""
