"""A command on a terminal that is asked something, and is answered."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable

from tests.cli.commands import loco_redis

_QUESTION = b"[y/N]: "


def talk(answer: str, *arguments: str, meanwhile: Callable[[], object] = lambda: None) -> str:
    """What the terminal got of a command that asks once, and its exit status in a last line.
    `meanwhile` is called while it waits for the answer."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = loco_redis(*arguments)._popen(stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    got = bytearray()
    asked = False
    # The kernel answers EIO once nobody has the other end open.
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65536):
            got += chunk
            if not asked and _QUESTION in got:
                asked = True
                meanwhile()
                os.write(ours, f"{answer}\n".encode())
    os.close(ours)
    return f"{got.decode()}\nexit {process.wait(timeout=10)}"
