"""Connections between a simulated process and the server: ordered, late, and sometimes cut.

`Client` stands for redis.asyncio.Redis: the connections of its pool are what `Connector` opens.
What is written together arrives together; so do its replies. Each direction of a connection keeps
its order, different connections do not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import redis.asyncio
from redis.exceptions import ConnectionError, TimeoutError

from loco_redis._wire import pack
from tests.simulation.link import Link
from tests.simulation.wire import commands

if TYPE_CHECKING:
    from tests.simulation.process import Process

_SOCKET_TIMEOUT = 5.0


class Transport:
    """What the outbox writes to directly."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_closing(self) -> bool:
        return self._connection.ended

    def abort(self) -> None:
        self._connection.abort()

    def writelines(self, frames: Iterable[bytes]) -> None:
        self._connection.write(frames)


class Writer(asyncio.StreamWriter):
    """Only carries the transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport  # type: ignore[assignment]  # as far as it is used

    def __del__(self) -> None:
        """Nothing was opened."""


class Connection:
    """As far as the client uses a redis-py connection.

    Attributes:
        kind: outbox, or inbox once it has subscribed.
        ended: the client knows that it is over.
    """

    def __init__(self, link: Link) -> None:
        self._link, self._world, self._loop = link, link.world, link.process.loop
        self._clock, self._server = link.world.clock, link.world.server
        self.retry: Any = None
        self.socket_timeout: float | None = None
        self.kind = "outbox"
        self.ended = False
        self._broken = self._drops = self._deaf = self._dumb = False
        self._linger = 0.0
        self._up_until = self._down_until = 0.0  # when the last packet arrives
        self._received: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._channel: bytes | None = None
        self._writer: Writer | None = None

    async def connect(self) -> None:
        link = self._link
        await asyncio.sleep(link.delay())
        while not link.reaches:  # noqa: ASYNC110  polled as TCP does
            await asyncio.sleep(1.0)  # the first packet is sent again; whoever opens has a limit
        if not self._server.up:
            raise ConnectionError("Connection refused.")
        link.connections.append(self)
        self._writer = Writer(Transport(self))

    async def disconnect(self, nowait: bool = False) -> None:
        self.abort()

    def abort(self) -> None:
        """The client ends it: what it has sent arrives, what comes is for nobody."""
        self._unsubscribe()
        if self in self._link.connections:
            self._link.connections.remove(self)
        self._broken = True
        self._end()

    async def send_packed_command(self, frames: Iterable[bytes], check_health: bool = True) -> None:
        if self.ended:
            raise ConnectionError("Error 32 while writing to socket. Broken pipe.")
        self.write(frames)

    async def send_command(self, *args: Any) -> None:
        await self.send_packed_command([pack(args)])

    async def read_response(self, **_: Any) -> Any:
        while not self._received:
            if self.ended:
                raise ConnectionError("Connection closed by server.")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        reply = self._received.popleft()
        if isinstance(reply, Exception):
            raise reply
        return reply

    # Faults

    def cut(self, drops: bool, linger: float) -> None:
        """It is reset. What is on its way to the server is lost (`drops`), or carried out, perhaps
        only `linger` seconds later; the replies are lost."""
        self._broken, self._drops, self._linger = True, drops, linger
        self._unsubscribe()
        if self in self._link.connections:
            self._link.connections.remove(self)
        self._loop.call_soon(self._end)

    def half_open(self, deaf: bool) -> None:
        """Nothing comes back any more, without a word; nothing arrives either, if it is `deaf`."""
        self._dumb, self._deaf = True, deaf

    # The way to the server and back

    def write(self, frames: Iterable[bytes]) -> None:
        data = b"".join(frames)
        if self._link.partitioned and not self._link.healed:
            self._deaf = self._dumb = True
        if not data or self._deaf or self.ended:
            return
        self._up_until = max(self._up_until, self._departure + self._link.delay())
        self._clock.at(self._up_until, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if self._broken and (self._drops or not self._server.up):
            return
        if self._broken and self._linger:
            self._clock.after(self._linger, self._carry_out, data)
        else:
            self._carry_out(data)

    def _carry_out(self, data: bytes) -> None:
        replies = []
        for args in commands(data):
            replies.append(self._run(args))
            if self._link.repeats and args[0] == b"EVALSHA":
                self._link.repeats -= 1
                self._link.done["repeat"] += 1
                self._run(args)
        self._send_back(replies)

    def _run(self, args: list[bytes]) -> Any:
        if args[0] == b"SUBSCRIBE":
            self.kind, self._channel = "inbox", args[1]
            if not self._broken:
                self._server.subscribers[args[1]].append(self)
            return [b"subscribe", args[1], 1]
        if args[0] == b"PING":
            return [b"pong", b""]
        return self._server.execute(self._link.process, args)

    def publish(self, message: list[bytes]) -> None:
        if self._link.mute:
            self._link.done["hint lost"] += 1
        elif self._link.tardy:
            self._link.done["hint late"] += 1
            self._clock.after(self._link.tardy, self._send_back, [message])
        else:
            self._send_back([message])

    def _send_back(self, replies: list[Any]) -> None:
        if self._link.partitioned and not self._link.healed:
            self._deaf = self._dumb = True
        if self._broken or self._dumb:
            return
        self._down_until = max(self._down_until, self._departure + self._link.delay())
        self._clock.at(self._down_until, self._land, replies)

    @property
    def _departure(self) -> float:
        return max(self._clock.now, self._link.healed if self._link.partitioned else 0.0)

    def _land(self, replies: list[Any]) -> None:
        if not self._broken and not self._link.gone:
            self._loop.call_soon(self._receive, replies)

    def _receive(self, replies: list[Any]) -> None:
        self._received.extend(replies)
        self._wake()

    def _end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _unsubscribe(self) -> None:
        if self._channel is not None:
            listeners = self._server.subscribers[self._channel]
            if self in listeners:
                listeners.remove(self)


class Pool:
    """As far as the client uses redis-py's."""

    connection_class = Connection
    connection_kwargs: dict[str, Any] = {}  # noqa: RUF012  it is only read

    def __init__(self, link: Link) -> None:
        self._link = link

    def make_connection(self) -> Connection:
        return Connection(self._link)


class Client(redis.asyncio.Redis):
    """Given to a scheduler in place of a real one."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.connection_pool = Pool(process.link)  # type: ignore[assignment]
        self.connection = None

    async def sadd(self, name: Any, *values: Any) -> Any:  # type: ignore[override]
        link = self.process.link
        await asyncio.sleep(link.delay() + link.delay())
        if not link.reaches:
            await asyncio.sleep(_SOCKET_TIMEOUT)
            raise TimeoutError("Timeout reading from simulated server")
        (args,) = commands(pack(("SADD", name, *values)))
        reply = link.world.server.execute(self.process, args)
        if isinstance(reply, Exception):
            raise reply
        return reply
