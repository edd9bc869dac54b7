"""Waiting for what becomes of durable tasks, wherever they are served.

`result.lua` says it, or notes that this session asks. Then a hint comes when there is something to
see. A hint that was lost is noticed as a grant's is: Redis counts what it has told each session.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loco_redis._replies import ResultReply, Status

if TYPE_CHECKING:
    from loco_redis._session import Session

_NOT_YET = (Status.QUEUED, Status.BACKPRESSURE, Status.EXPIRED)
_AGAIN = 1.0  # seconds; thousands of sessions wait for this one result


class Results:
    """Those who wait in this process, by task."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def of(self, task_id: str, timeout: float | None) -> ResultReply:
        """The reply of `result.lua` once it is final.

        Raises:
            TimeoutError: nothing within `timeout` seconds.
        """
        news = asyncio.Event()
        waiting = self._waiting.setdefault(task_id, set())
        waiting.add(news)
        try:
            async with asyncio.timeout(timeout):
                while (reply := await self._ask(task_id)).status in _NOT_YET:
                    if reply.status is Status.QUEUED:
                        await news.wait()
                        news.clear()
                    elif reply.status is Status.BACKPRESSURE:  # no hint will come
                        await asyncio.sleep(_AGAIN)
                return reply
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(task_id, None)

    def heard(self, task_id: str) -> None:
        """A hint: there is something to see."""
        ledger = self._session.ledger
        if not ledger.uncertain:
            ledger.received += 1
        self._wake(task_id)

    def look_again(self) -> None:
        """Hints may have been missed, or the session that asked is gone."""
        for task_id in [*self._waiting]:
            self._wake(task_id)

    async def _ask(self, task_id: str) -> ResultReply:
        session = self._session
        await session.until_open()
        ledger = session.ledger
        command = session.scripts.result(
            session=ledger.session, floor=ledger.floor, seen=ledger.seen, task_id=task_id
        )
        reply = await session.read(command)
        if reply.status is Status.EXPIRED:
            session.expire(ledger)
        return reply

    def _wake(self, task_id: str) -> None:
        for news in self._waiting.get(task_id, ()):
            news.set()
