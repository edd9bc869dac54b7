"""The heartbeat of a simulated process: the client's own steps, at moments of the virtual clock.

In reality a thread goes round in `Heartbeat._run`. Here each part of a round is an entry of the
world's agenda: sending, what the server does, and the reply, between which time passes. The event
loop may be blocked meanwhile; a frozen process does none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import ConnectionError, TimeoutError

from loco_redis._heartbeat import Heartbeat
from loco_redis._ledger import Ledger
from loco_redis._replies import HeartbeatReply
from loco_redis._scripts import Command
from tests.simulation.transport import Client

if TYPE_CHECKING:
    from tests.simulation.process import Process

Answer = HeartbeatReply | Exception


class _Stop:
    """In place of the thread's Event: the round that waits for it ends at once."""

    def __init__(self, on_set: Callable[[], None]) -> None:
        self._on_set = on_set
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        self._on_set()

    def is_set(self) -> bool:
        return self._is_set


class _Thread:
    def join(self) -> None:
        """It has ended."""


class _AtOnce:
    """The plain client, of which the heartbeat uses one method: at the server without delay."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def close(self) -> None:
        """It has no connection."""

    def execute_command(self, *args: Any) -> Any:
        sent = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
        reply = self._process.world.server.execute(self._process, sent)
        if isinstance(reply, Exception):
            raise reply
        return reply


class SimulatedHeartbeat(Heartbeat):
    def _launch(self) -> None:
        given = self._endpoint.given
        assert isinstance(given, Client)
        self._process = given.process
        self._clock, self._link = self._process.world.clock, self._process.link
        self._client = cast(Any, _AtOnce(self._process))
        self._thread = cast(Any, _Thread())
        self._stop = cast(Any, _Stop(self._wake))
        self._pause = 0.0
        self._round = 0  # whatever belongs to an earlier one comes too late
        self._waits = False
        self._wait()

    def _wait(self) -> None:
        self._round += 1
        self._waits = True
        self._clock.after(0.0 if self._stop.is_set() else self._pause, self._go, self._round)

    def _wake(self) -> None:
        if self._waits:
            self._clock.after(0.0, self._go, self._round)

    def _go(self, round_: int) -> None:
        """A round begins, as in `_run`."""
        if round_ != self._round or self._process.put_off(self._go, round_):
            return
        self._round += 1
        self._waits = False
        if self._stop.is_set():
            self._loop.call_soon_threadsafe(self._begun.set)
            self._loop.call_soon_threadsafe(self._ended.set)
        elif self._turns():
            self._send(self._round)
        else:
            self._pause = self.period
            self._went_round()

    def _send(self, round_: int) -> None:
        """The first part of `_beat`."""
        now, link, ledger = self._clock.now, self._link, self.ledger
        fate = link.beats.popleft() if link.beats else ""
        if fate:
            link.done["beat lost"] += 1
        limit = self.reply_timeout
        to_tell = (round_, ledger, now)
        self._clock.after(limit, self._tell, *to_tell, TimeoutError("Timeout reading from socket"))
        if fate == "request" or not link.reaches:
            return
        arrival = link.delay() + (2 * limit if fate == "late" else 0.0)
        is_answered = fate != "reply"
        self._clock.after(arrival, self._arrive, to_tell, self._command(ledger), is_answered)

    def _arrive(
        self,
        to_tell: tuple[int, Ledger, float],
        command: Command[HeartbeatReply],
        is_answered: bool,
    ) -> None:
        """At the server."""
        if self._process.world.server.up:
            answer = self._ask(command)
        else:
            answer = ConnectionError("Connection refused.")
        if is_answered and self._link.reaches:
            self._clock.after(self._link.delay(), self._tell, *to_tell, answer)

    def _tell(self, round_: int, ledger: Ledger, sent: float, answer: Answer) -> None:
        """The last part of `_beat`, unless its limit has passed before."""
        if round_ != self._round or self._process.put_off(self._tell, round_, ledger, sent, answer):
            return
        self._pause = self._heard(ledger, sent, answer)
        self._went_round()

    def _went_round(self) -> None:
        if not self._begun.is_set():
            self._loop.call_soon_threadsafe(self._begun.set)
        self._wait()
