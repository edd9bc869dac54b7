"""The sending half of a process: who waits for replies here, and what becomes of their messages."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from loco_redis.errors import (
    BackendError,
    LocoRedisError,
    ReplyTimeoutError,
    ShutdownError,
    TaskRunningError,
    UnknownTaskError,
)
from loco_redis.models import Task
from loco_redis.scheduler import AsyncLOCOScheduler


@dataclass(eq=False, slots=True)
class _Sender:
    """One call of `send_message`; `keeps`: others may want the reply, too."""

    task_id: str
    keeps: bool
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Senders:
    """Those of one scheduler."""

    def __init__(self) -> None:
        self._waiting: set[_Sender] = set()
        self._undoing: set[asyncio.Task[None]] = set()
        self._parting = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def submit(
        self, core: AsyncLOCOScheduler, agent_id: str, task: Task, key: str | None, ttl: float
    ) -> str:
        """The message's task id. It may be in Redis before that is known here: so one whose sender
        is cancelled meanwhile is taken back afterwards."""
        submitting = asyncio.create_task(
            core.submit_task(agent_id, task, dedup_key=key, result_ttl=ttl),
            name="loco_redis.agents.submit",
        )
        try:
            return await asyncio.shield(submitting)
        except asyncio.CancelledError:
            undoing = asyncio.create_task(
                self._undo(core, submitting, key is not None), name="loco_redis.agents.undo"
            )
            self._undoing.add(undoing)
            undoing.add_done_callback(self._undoing.discard)
            raise

    async def reply(
        self, core: AsyncLOCOScheduler, agent_id: str, task_id: str, keeps: bool, until: float
    ) -> Any:
        """To a message; waits until the loop's clock is at `until`.

        Raises:
            ReplyTimeoutError, ShutdownError; TaskFailedError and others, as `result` does.
        """
        sender = _Sender(task_id, keeps)
        self._waiting.add(sender)
        left = max(0.0, until - asyncio.get_running_loop().time())
        try:
            return await core.result(task_id, None if left == float("inf") else left)
        except TimeoutError:
            await self._take_back(core, sender)
            raise ReplyTimeoutError(agent_id, task_id) from None
        except asyncio.CancelledError:
            await self._take_back(core, sender)
            raise
        except UnknownTaskError:
            if self._parting:  # it was this process that took it back
                raise ShutdownError(core.name) from None
            raise
        finally:
            self._waiting.discard(sender)
            sender.over.set()

    async def part(
        self, core: AsyncLOCOScheduler, answered: Collection[str], patience: float
    ) -> None:
        """They get the replies that are in Redis, for at most `patience` seconds, and what the
        others have sent is taken back."""
        self._parting, senders = True, [*self._waiting]
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for sender in senders:
                    if sender.task_id in answered:
                        await sender.over.wait()
        left = [*self._waiting]
        await asyncio.gather(*(self._take_back(core, sender) for sender in left), *self._undoing)

    async def _undo(
        self, core: AsyncLOCOScheduler, submitting: asyncio.Task[str], keeps: bool
    ) -> None:
        with suppress(LocoRedisError):  # it was not submitted, and nobody wants to know
            await self._take_back(core, _Sender(await submitting, keeps))

    async def _take_back(self, core: AsyncLOCOScheduler, sender: _Sender) -> None:
        """Nobody waits for the reply: nobody need begin with it."""
        if not sender.keeps:
            # It is at work or done; or it will be.
            with suppress(TaskRunningError, UnknownTaskError, ShutdownError, BackendError):
                await asyncio.shield(core.cancel_task(sender.task_id))
