"""A command on its way, and its answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from loco_redis._scripts import Command

T = TypeVar("T")
#: Gets the decoded reply or an exception, and whether the command was sent more than once.
Done = Callable[[Any, bool], None]

NEVER = float("inf")
SHARED = ("acquire", "release")  # what the script `several` does, too

_log = logging.getLogger("loco_redis")


def after(timeout: float) -> float:
    """The deadline, by time.monotonic, `timeout` seconds from now."""
    return NEVER if timeout == NEVER else time.monotonic() + timeout


class Answer(NamedTuple, Generic[T]):
    """A reply. `retried`: the command may have run before, and this be the reply to its repeat."""

    reply: T
    retried: bool


class Entry:
    """A command on its way. `done` is None once nobody waits for the reply any more. At `deadline`
    it is given up; unless it has `late`, which is called instead, once."""

    __slots__ = (
        "deadline",
        "decode",
        "done",
        "doubted",
        "dropped",
        "late",
        "retried",
        "script",
        "sent_at",
        "session",
        "what",
    )

    def __init__(
        self,
        what: Command[Any] | bytes,
        script: str,
        decode: Callable[[Any], Any],
        done: Done | None,
        deadline: float,
        late: Callable[[], None] | None = None,
    ) -> None:
        """`what` is a script's call, or a packed Redis command whose name is `script`."""
        self.what, self.script, self.decode = what, script, decode
        self.done, self.deadline, self.late = done, deadline, late
        self.sent_at = 0.0
        self.retried = False
        self.dropped = False  # it must not be sent (again)
        self.doubted = False  # it shared a reply that could not be read
        # Whose it is, if it may share a script with others of that session.
        self.session = what.args[1] if isinstance(what, Command) and script in SHARED else None

    def go_on(self) -> bool:
        """Its time is up: it goes on without its caller, who is told, if it has to get through."""
        if self.late is None:
            return False
        self.deadline, late, self.late = NEVER, self.late, None
        late()
        return True

    def finish(self, value: Any) -> None:
        done, self.done = self.done, None
        if done is not None:
            try:
                done(value, self.retried)
            except Exception:  # noqa: BLE001  one caller's bug must not stop everybody's socket
                _log.exception("a bug in loco-redis: the reply of %s was not taken", self.script)
