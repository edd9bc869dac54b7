"""The outbox owns the socket, and decides what goes out together.

While few commands are under way each goes out at once; except that what is asked in answer to
replies gathers until it is as much as is under way already, or until all whom the replies woke
have run. So Redis has work while this process makes more, and the more work it has, the more of it
shares a script (`_flight.py`).

Nobody else touches the connection, so a caller's cancellation never reaches it. A command that got
no reply is sent again with the same request id, until its deadline; Redis recognises the repeat.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from redis.exceptions import InvalidResponse, ResponseError

from loco_redis._connect import Connector, is_hopeless, stream_writer
from loco_redis._entry import NEVER, Answer, Done, Entry, after
from loco_redis._flight import Flight, Flights
from loco_redis._fork import ForkGuard
from loco_redis._rights import denied
from loco_redis._scripts import Argument, Command, Scripts
from loco_redis._tasks import end
from loco_redis._unloaded import Unloaded
from loco_redis._wire import (
    Diagnosis,
    Framer,
    as_answered_by,
    diagnose,
    library_error,
    pack,
)
from loco_redis.errors import BackendError, BackendMemoryError, BackendUnavailableError
from loco_redis.metrics.process import figures_here

T = TypeVar("T")

REPLY_TIMEOUT = 5.0
_TICK = 0.1
_BACKOFF_FIRST, _BACKOFF_MOST = 0.02, 1.0
_CLOSED = "the scheduler was closed"
_EAGER = 16  # with more under way the end of the turn is always waited for

_log = logging.getLogger("loco_redis")


class Outbox:
    """Sends commands and hands their replies back; `start` it, `aclose` it.

    Attributes:
        failure: why there is no connection at the moment, or None.
    """

    def __init__(
        self,
        connector: Connector,
        scripts: Scripts,
        where: str,
        on_reconnect: Callable[[], None] = lambda: None,
    ) -> None:
        self._connector, self._scripts, self._where = connector, scripts, where
        self._on_reconnect = on_reconnect
        self._guard = ForkGuard(scripts.keys.name)
        self._figures = figures_here(scripts.keys.name)
        self._framer = Framer(scripts)
        self._queue: deque[Entry] = deque()
        self._unloaded = Unloaded(scripts, self._send_unloaded)
        self._inflight = Flights()
        self._answering = 0  # replies whose receivers have not all run
        self._more: asyncio.Future[None] | None = None  # the writer waits for entries
        self._sent: asyncio.Future[None] | None = None  # the reader waits for something to read
        self._reader: asyncio.Task[None] | None = None
        self._direct: asyncio.WriteTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._ending = self._stopped = False
        self._backoff = _BACKOFF_FIRST
        self.failure: BaseException | None = None

    def __repr__(self) -> str:
        state = "connected" if self._reader is not None else "disconnected"
        return f"<Outbox {state} queued={len(self._queue)} in flight={self._inflight.load}>"

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="loco_redis.outbox")
        self._stopped = False
        self._task.add_done_callback(self._go_on)

    def _go_on(self, _: object) -> None:
        """Whoever ends an event loop cancels all its tasks, and this one's, too. It is needed once
        more: for what is given back, and for the session's goodbye."""
        self._stopped = True
        unsaid = self._queue or self._unloaded.entries or self._inflight
        if unsaid and not self._ending and not self._guard.forked:
            self.start()

    async def aclose(self, timeout: float) -> None:
        """Send what is queued and wait for its replies, at most `timeout` seconds; then end."""
        try:
            if self._awaited():
                self._idle.clear()
                async with asyncio.timeout(timeout):
                    await self._idle.wait()
        except TimeoutError:
            _log.warning("closing with %d calls to Redis unanswered", len(self._awaited()))
        finally:
            self._ending = True
            await end(self._task)
            self._unloaded.cancel()
            if self._timer is not None:
                self._timer.cancel()
            for entry in self._awaited():
                entry.finish(self.unavailable(_CLOSED))

    def post(
        self,
        command: Command[T],
        done: Done | None,
        timeout: float = NEVER,
        late: Callable[[], None] | None = None,
    ) -> Entry:
        """Queue a command; `done` is called once. Past `timeout` seconds without a reply it gets a
        BackendUnavailableError; or `late` is called, and the command goes on until it gets through.
        Never blocks; to be called in the loop's thread."""
        entry = Entry(command, command.script, command.decode, done, after(timeout), late)
        return self._push(entry)

    def send(self, command: Command[T], timeout: float) -> asyncio.Future[Answer[T]]:
        """`post` for those who can await."""
        return self._ask(command, command.script, command.decode, timeout)

    def send_raw(self, timeout: float, *args: Argument) -> asyncio.Future[Answer[Any]]:
        """The same for a plain Redis command; it may run twice."""
        return self._ask(pack(args), str(args[0]), partial(as_answered_by, args[:2]), timeout)

    def drop(self, entry: Entry) -> bool:
        """Take an entry back; False when it may have run: then its reply still comes."""
        if entry.sent_at:
            return False
        entry.dropped, entry.done = True, None
        return True

    def _awaited(self) -> list[Entry]:
        entries = (*self._inflight, *self._unloaded.entries, *self._queue)
        return [entry for entry in entries if entry.done is not None]

    def _ask(
        self,
        what: Command[Any] | bytes,
        script: str,
        decode: Callable[[Any], T],
        timeout: float,
    ) -> asyncio.Future[Answer[T]]:
        future: asyncio.Future[Answer[T]] = self._loop.create_future()

        def done(value: Any, retried: bool) -> None:
            if future.done():  # its caller was cancelled
                return
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(Answer(value, retried))

        self._push(Entry(what, script, decode, done, after(timeout)))
        return future

    def _push(self, entry: Entry) -> Entry:
        self._guard.check()
        if self._stopped:
            if self._ending:
                self._loop.call_soon(entry.finish, self.unavailable(_CLOSED))
                return entry
            self.start()
        self._queue.append(entry)
        if self._inflight.load >= _EAGER:
            if not self._answering:
                _wake(self._more)
        elif not self._answering or len(self._queue) >= self._inflight.load:
            self._flush()
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._tick)
        return entry

    def _flush(self) -> None:
        direct = self._direct
        # One that is closing takes nothing any more; since Python 3.12 it may even raise.
        if direct is not None and not direct.is_closing():
            direct.writelines(self._take())
        else:
            _wake(self._more)

    def _answered(self) -> None:
        """Those whom a reply woke have run."""
        self._answering -= 1
        if self._queue and not self._answering:
            self._flush()

    async def _run(self) -> None:
        """Connect, serve, and begin again for ever."""
        connected_before = False
        while not self._connector.forked:
            try:
                connection = await self._connector.open()
                try:
                    if connected_before:
                        self._on_reconnect()
                    connected_before = True
                    await self._serve(connection)
                finally:
                    self._recall()
                    await connection.disconnect(nowait=True)
            except Exception as error:  # noqa: BLE001  of a garbled reply a parser raises any
                self._note_failure(error)
            await asyncio.sleep(self._backoff * random.uniform(0.5, 1.0))
            self._backoff = min(_BACKOFF_MOST, 2 * self._backoff)

    async def _serve(self, connection: Any) -> None:
        """Write what is queued, as long as the reader lives; raises what ended it."""
        reader = self._loop.create_task(self._read(connection), name="loco_redis.outbox.reader")
        writer = stream_writer(connection)
        reader.add_done_callback(partial(self._read_no_more, writer))
        self._reader, self._direct = reader, writer.transport if writer is not None else None
        try:
            while not reader.done():
                if self._queue or self._unloaded.missing:
                    await connection.send_packed_command(self._take(), check_health=False)
                else:
                    self._more = self._loop.create_future()
                    await self._more
            try:
                reader.result()
            except asyncio.CancelledError:
                raise TimeoutError(f"no reply within {REPLY_TIMEOUT:g} s") from None
        finally:
            self._reader = self._direct = None
            await end(reader)

    def _read_no_more(self, writer: asyncio.StreamWriter | None, _: object) -> None:
        """Nor write: one who waits for the other end to take more would wait for ever."""
        if writer is not None:
            writer.transport.abort()
        _wake(self._more)

    def _take(self) -> list[bytes]:
        """Everything queued moves to `_inflight`; returns its frames."""
        if self._unloaded.missing:
            self._queue.extendleft(reversed(self._unloaded.take()))
        now = time.monotonic()
        leaving = [entry for entry in self._queue if not entry.dropped]
        self._queue.clear()
        for entry in leaving:
            entry.retried = entry.sent_at > 0.0
            entry.sent_at = now
        flights = self._inflight.leave(leaving)
        _wake(self._sent)
        return [flight.frame(self._scripts, self._framer) for flight in flights]

    def _recall(self) -> None:
        """The connection is gone: what has no reply is queued again, in its order."""
        sent = [*self._inflight, *self._unloaded.recall()]
        again = [entry for entry in sent if entry.done is not None]
        self._inflight.clear()
        self._figures.resent(again)
        self._queue.extendleft(reversed(again))

    async def _read(self, connection: Any) -> None:
        inflight = self._inflight
        while True:
            if not inflight:
                if not self._queue and not self._unloaded.entries:
                    self._idle.set()
                self._sent = self._loop.create_future()
                await self._sent
            try:
                raw = await connection.read_response(disable_decoding=True)
            except ResponseError as error:
                self._refused(inflight.first, error)
            else:
                self._decoded(inflight.first, raw)
            self._answering += 1
            self._loop.call_soon(self._answered)

    def _decoded(self, flight: Flight, raw: Any) -> None:
        """A reply to the first in flight. One that cannot be read is not believed, nor are those
        after it, which may answer other questions: all are asked again by another connection, and
        only when that does not help is it an error."""
        values, doubt = [], ""
        for entry, reply in flight.replies(raw):
            try:
                values.append(entry.decode(reply))
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                doubt = f"{entry.script} was answered in an unknown form: {error!r}"
                if not entry.doubted:
                    for each in flight.entries:
                        each.doubted = True
                    raise InvalidResponse(doubt) from error
                values.append(BackendError(doubt))
        self._inflight.land()
        if self.failure is not None:
            _log.info("Redis at %s answers again", self._where)
            self.failure, self._backoff = None, _BACKOFF_FIRST
        for entry, value in zip(flight.entries, values, strict=True):
            self._figures.answered(entry.script, entry.sent_at)
            entry.finish(value)
        if doubt:
            raise InvalidResponse(doubt)

    def _refused(self, flight: Flight, error: ResponseError) -> None:
        """An error reply to the first in flight."""
        diagnosis = diagnose(error)
        if diagnosis is Diagnosis.LATER:
            # It stays in flight, to be recalled with the others.
            self._connector.suspect()
            raise error
        self._inflight.land()
        if diagnosis is not Diagnosis.FATAL:  # it did not run
            for entry in flight.entries:
                if not entry.retried:
                    entry.sent_at = 0.0
        if diagnosis is Diagnosis.NO_LIBRARY:
            self._unloaded.keep(flight.entries, library_error(self._where, error))
            return
        if diagnosis is Diagnosis.NO_SCRIPT and self._unloaded.add(flight.entries, flight.script):
            _wake(self._more)
            return
        cause = self._unloaded.why(flight.script) or error
        if len(flight.entries) > 1:  # one by one each gets its own answer
            for entry in flight.entries:
                entry.session = None
            self._queue.extendleft(reversed(flight.entries))
            _wake(self._more)
            return
        fatal = (
            BackendMemoryError(self._where)
            if diagnosis is Diagnosis.MEMORY
            else denied(self._where, flight.script, cause)
            or BackendError(f"{flight.script} was refused by Redis: {cause}")
        )
        if fatal is not cause:
            fatal.__cause__ = cause
        flight.entries[0].finish(fatal)

    def _send_unloaded(self) -> None:
        self._queue.extendleft(reversed(self._unloaded.recall()))
        self._flush()

    def _note_failure(self, error: BaseException) -> None:
        if self.failure is None:
            _log.warning("no connection to Redis at %s: %s", self._where, _first_line(error))
        self.failure = error
        self._connector.suspect()
        if is_hopeless(error):
            self._give_up(NEVER)

    def unavailable(self, detail: str) -> BackendUnavailableError:
        """Why there is no reply: the connection's failure, else `detail`."""
        if self.failure is not None:
            detail = _first_line(self.failure)
        error = BackendUnavailableError(self._where, detail)
        error.__cause__ = self.failure
        return error

    def _tick(self) -> None:
        """Deadlines, and replies that do not come; runs while anything is on its way."""
        self._timer = None
        if not (self._queue or self._inflight):
            return
        self._timer = self._loop.call_later(_TICK, self._tick)
        now = time.monotonic()
        self._give_up(now)
        oldest = self._inflight.first.entries[0].sent_at if self._inflight else now
        if self._reader is not None and now - oldest > REPLY_TIMEOUT:
            self._reader.cancel()

    def _give_up(self, moment: float) -> None:
        """Tell those whose deadline is before `moment` that there is no reply."""
        for entry in self._awaited():
            if entry.deadline >= moment:
                continue
            if not entry.go_on():
                entry.dropped = True
                entry.finish(self.unavailable("no reply in time"))


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
