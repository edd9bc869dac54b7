"""The forms in which async code acquires: a with-block, and a handle for split calls."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, cast

from loco_redis._holding import Holding, Wish
from loco_redis.lease import BaseLease, Lease, enter_context, leave_context

if TYPE_CHECKING:
    from loco_redis.scheduler import AsyncLOCOScheduler


class Acquisition:
    """`async with scheduler.acquire(...) as lease:`; for one use."""

    __slots__ = ("_holding", "_lease", "_scheduler", "_wish")

    def __init__(self, scheduler: AsyncLOCOScheduler, wish: Wish) -> None:
        self._scheduler, self._wish = scheduler, wish
        self._holding: Holding | None = None

    def __repr__(self) -> str:
        lease = self._holding.lease if self._holding is not None else None
        return f"<Acquisition agent={self._wish.agent_id!r} {lease or 'not holding'}>"

    async def __aenter__(self) -> Lease:
        if self._holding is not None:
            raise RuntimeError("an acquisition can be entered once: call acquire() again")
        self._holding = holding = Holding(self._scheduler, self._wish, Lease)
        self._lease = lease = cast(Lease, await holding.enter())
        if holding.shared:
            return lease
        if (lease.lost or lease._is_late) and self._scheduler._cancels:
            await holding.leave(lease._error(), begun=False)
            raise lease._error()
        body = asyncio.current_task()
        assert body is not None
        lease._watch(body)
        enter_context(lease)
        return lease

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        holding, lease = self._holding, self._lease
        assert holding is not None
        if holding.shared:
            return
        leave_context(lease)
        if lease._interruption and was_interrupted(lease, exc):
            error = lease._error()
            await holding.leave(error)
            raise error from exc
        await holding.leave(exc)
        if lease.lost and exc is None and self._scheduler._cancels:
            raise lease._error()


def was_interrupted(lease: BaseLease, exc: BaseException | None) -> bool:
    """We have cancelled the body: take that back, as asyncio.timeout does. False when somebody else
    has cancelled it, too, or when it raised something of its own."""
    body = asyncio.current_task()
    assert body is not None
    mine_alone = body.uncancel() <= lease._cancelling
    return exc is None or (mine_alone and isinstance(exc, asyncio.CancelledError))


class AcquireHandle:
    """A slot acquired by `acquire_start`, until it is given to `release_handle`."""

    __slots__ = ("_holding",)

    def __init__(self, holding: Holding) -> None:
        self._holding = holding

    @property
    def lease(self) -> Lease:
        lease = self._holding.lease
        assert lease is not None
        return cast(Lease, lease)

    @property
    def shared(self) -> bool:
        """The lease is an outer one (`nested="share"`): releasing the handle leaves it as it is."""
        return self._holding.shared

    @property
    def agent_id(self) -> str:
        return self.lease.agent_id

    @property
    def released(self) -> bool:
        return self.lease.released

    def __repr__(self) -> str:
        return f"<AcquireHandle {self.lease!r}>"
