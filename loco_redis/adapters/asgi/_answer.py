"""What an app answers; with its last byte the slot is given back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from loco_redis._acquisition import Acquisition
from loco_redis.adapters._served import Refusal, end_early
from loco_redis.adapters.asgi._inbox import ClientGone, Inbox, Message

Send = Callable[[Message], Awaitable[None]]


class FailedAnswer(Exception):
    """The app has answered by a server error of this `status`; what `on_task_completed` is told."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


class Answer:
    """What is sent for one request.

    Attributes:
        started, complete: the first message, and the last one, has been sent.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._slot: Acquisition | None = None
        self._inbox: Inbox | None = None
        self._ending: asyncio.Task[None] | None = None
        self._status, self._trailers = 0, False
        self.started = self.complete = False

    def begin(self, slot: Acquisition, inbox: Inbox) -> None:
        self._slot, self._inbox = slot, inbox

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self._status = True, message["status"]
            self._trailers = message.get("trailers", False)
        elif message.get("more_body") and self._inbox is not None and self._inbox.gone:
            await self._nobody(self._inbox)
            return
        self.complete = self._is_last(message)  # before: then the server says "disconnect", too
        await self._send(message)
        if self.complete and self._slot is not None:
            error = FailedAnswer(self._status) if self._status >= 500 else None
            ending = end_early(self._slot, error)
            # The app's task may be cancelled now, as it has sent all.
            self._ending = asyncio.create_task(ending, name="loco_redis.answer")
            await self.ended()

    async def _nobody(self, inbox: Inbox) -> None:
        """Many servers would let the app go on for ever. One that listens ends by itself, and
        better, as its iterator is then closed at once."""
        await asyncio.sleep(0)
        if not inbox.listened:
            raise ClientGone("the client has disconnected")

    async def ended(self) -> None:
        """The slot has been given back, if the answer is complete."""
        if self._ending is not None:
            await asyncio.wait([self._ending])

    def _is_last(self, message: Message) -> bool:
        kind = message["type"]
        if kind == "http.response.trailers":
            return not message.get("more_trailers", False)
        if kind == "http.response.pathsend":
            return not self._trailers
        in_parts = kind in ("http.response.body", "http.response.zerocopysend")
        return in_parts and not message.get("more_body", False) and not self._trailers

    async def refuse(self, refusal: Refusal) -> None:
        body = json.dumps(refusal.body).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        headers |= refusal.headers
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send(
            {"type": "http.response.start", "status": refusal.status, "headers": pairs}
        )
        await self._send({"type": "http.response.body", "body": body})
