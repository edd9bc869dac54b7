"""What a way of guarding slots gives."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

#: From a task's number, or name, to what the task enters around its body.
Slot = Callable[[int | str], AbstractAsyncContextManager[object]]
