"""The server of a world: the reference model behind the commands that the client sends."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from loco_redis._replies import Grant
from loco_redis._scripts import VERBS, Scripts
from loco_redis.testing import ops
from loco_redis.testing.model import Outcome, step
from loco_redis.testing.model_state import State
from loco_redis.testing.model_turn import Hint
from tests.simulation.clock import Clock
from tests.simulation.wire import encode, operation, text

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.transport import Connection

NAME = "simulated"
EPOCH = 1_700_000_000  # what TIME says when the world's clock says 0
SCRIPTS = Scripts(NAME)
_KEYS = SCRIPTS.keys
_SHAS = {SCRIPTS.sha(verb).encode(): verb for verb in VERBS}
_GROWING = (
    "acquire",
    "serve",
    "result",
    "submit",
    "several",
    "open",
    "register",
    "govern",
    "reconfigure",
)

LATER: dict[str, Callable[[], Exception]] = {
    "READONLY": lambda: ReadOnlyError("You can't write against a read only replica."),
    "LOADING": lambda: BusyLoadingError("Redis is loading the dataset in memory"),
    "BUSY": lambda: ResponseError("BUSY Redis is busy running a script."),
}

Watch = Callable[["Process", ops.Op, Outcome], None]


class Server:
    """Carries out commands one at a time.

    Attributes:
        offset: seconds by which its clock is ahead.
        up: whether it runs; while not, nothing reaches it.
        later: the error that it answers everything by, or None.
        full: whether it has no memory left.
        flushes: when it was emptied.
        steps: scripts that have run, by verb.
    """

    def __init__(self, clock: Clock, watch: Watch) -> None:
        self._clock, self._watch = clock, watch
        self.state = State()
        self.offset = 0.0
        self.up, self.full = True, False
        self.later: str | None = None
        self.flushes: list[float] = []
        self.steps: Counter[str] = Counter()
        self._loaded = set(_SHAS)
        self._registry: set[bytes] = set()
        self.subscribers: dict[bytes, list[Connection]] = defaultdict(list)

    @property
    def now(self) -> int:
        """TIME in microseconds."""
        return int((EPOCH + self._clock.now + self.offset) * 1e6)

    def flush(self) -> None:
        """FLUSHALL: the data is gone, the scripts stay."""
        self.state = State()
        self._registry.clear()
        self.flushes.append(self._clock.now)

    def flush_scripts(self) -> None:
        self._loaded.clear()

    def execute(self, origin: Process, args: list[bytes]) -> Any:
        """The reply in redis-py's form; an error is returned, not raised."""
        if not self.up:
            return ConnectionError("Connection refused.")
        if self.later is not None and (self.later != "READONLY" or args[0] in _WRITES):
            return LATER[self.later]()
        return _COMMANDS[args[0].upper()](self, origin, args)

    def _evalsha(self, origin: Process, args: list[bytes]) -> Any:
        if args[1] not in self._loaded:
            return NoScriptError("No matching script. Please use EVAL.")
        verb = _SHAS[args[1]]
        if verb == "rights":
            return [0, 0]  # all of them
        if self.full and verb in _GROWING:
            return OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")
        return self._run(origin, verb, args[3 + int(args[2]) + 1 :])

    def _eval(self, origin: Process, args: list[bytes]) -> Any:
        sha = _sha(args[1])
        if sha not in _SHAS:  # whether this user may
            return 0
        self._loaded.add(sha)
        return self._evalsha(origin, [args[0], sha, *args[2:]])

    def _run(self, origin: Process, verb: str, argv: list[bytes]) -> Any:
        op = operation(verb, argv)
        outcome = step(self.state, op, self.now, NAME)
        self.steps[verb] += 1
        for hint in outcome.hints:
            self._publish(hint)
        self._watch(origin, op, outcome)
        return encode(outcome.reply)

    def _publish(self, hint: Hint) -> None:
        session, what = hint
        if isinstance(what, Grant):
            message = text(what)
        else:
            message = what.encode() if isinstance(what, str) else self._wake(what)
        channel = _KEYS.channel + session.encode()
        for connection in self.subscribers.get(channel, ()):
            connection.publish([b"message", channel, message])

    def _wake(self, at: int) -> bytes:
        return b"wake|%d" % max(at - self.state.vnow, 1)

    def _script(self, origin: Process, args: list[bytes]) -> Any:
        if args[1].upper() == b"EXISTS":
            return [int(sha in self._loaded) for sha in args[2:]]
        sha = _sha(args[2])
        self._loaded.add(sha)
        return sha

    def _info(self, origin: Process, args: list[bytes]) -> bytes:
        return b"# Server\r\nredis_version:7.2.4\r\n"

    def _time(self, origin: Process, args: list[bytes]) -> list[bytes]:
        return [b"%d" % part for part in divmod(self.now, 1_000_000)]

    def _hget(self, origin: Process, args: list[bytes]) -> bytes | None:
        assert args[1] == _KEYS.bodies
        task = self.state.tasks.get(args[2].decode())
        return (task.body or None) if task else None

    def _hmget(self, origin: Process, args: list[bytes]) -> list[bytes | None]:
        assert args[1] == _KEYS.rules
        return [self.state.rules.get(name) for name in args[2:]]

    def _sadd(self, origin: Process, args: list[bytes]) -> int:
        new = set(args[2:]) - self._registry
        self._registry |= new
        return len(new)


def _sha(source: bytes) -> bytes:
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


_WRITES = (b"EVALSHA", b"EVAL", b"SADD")
_COMMANDS: dict[bytes, Callable[[Server, Process, list[bytes]], Any]] = {
    b"EVALSHA": Server._evalsha,
    b"EVAL": Server._eval,
    b"SCRIPT": Server._script,
    b"INFO": Server._info,
    b"TIME": Server._time,
    b"HGET": Server._hget,
    b"HMGET": Server._hmget,
    b"SADD": Server._sadd,
}
