"""A middleware for every ASGI app: each request holds a slot until its answer has been sent."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.schedulers import async_scheduler
from loco_redis.adapters._served import Refusal, caller_of, slot_of
from loco_redis.adapters.asgi._agents import FromScope, Scope, by_header
from loco_redis.adapters.asgi._answer import Answer, Send
from loco_redis.adapters.asgi._inbox import ClientGone, Inbox, Receive
from loco_redis.context import agent
from loco_redis.errors import LeaseLostError, LocoRedisError
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts._terms import Terms

App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Where the scope of a scheduled request has its lease.
LEASE = "loco_redis.lease"

_log = logging.getLogger("loco_redis")


class SlotMiddleware:
    """Each HTTP request waits for a slot, and holds it from before the app is called until the
    last byte of the answer has been sent. WebSockets and the lifespan pass.

    A client that goes while it waits is taken out of the queue. One that goes later: an app that
    listens hears of it, and any other is cancelled if it has begun to answer; one that has not
    goes on, with its slot.

    Args:
        app: what is called inside the slot.
        scheduler: whose slots are taken; None: the one that `loco_redis.configure` made.
        agent_of: gives the agent of a request by its scope: `by_header()`, `by_path()`,
            `by_user()`, or a function of yours; None from it: that of the context, or "default".
        match: says by the scope which requests take a slot; None: all.
        weight: of each request.
        timeout: seconds to wait for a slot; None: as long as the client does.
        retry_after: seconds that a refused caller is told where nothing better is known.
        cancel_on_disconnect: cancel the app when the client goes, whatever it does. Needs anyio,
            which Starlette brings: threads, as of plain `def` handlers, end first.

    A refused request is answered by 429 (too much work) or 503 (no scheduler), with Retry-After.

    Raises:
        ValueError: at once, for any of them out of range.
    """

    def __init__(
        self,
        app: App,
        scheduler: AsyncLOCOScheduler | None = None,
        *,
        agent_of: FromScope | Callable[[Scope], str | None] | None = None,
        match: Callable[[Scope], bool] | None = None,
        weight: float = 1.0,
        timeout: float | None = None,
        retry_after: float = 1.0,
        cancel_on_disconnect: bool = False,
    ) -> None:
        Terms.of(None, weight, timeout)
        validate.seconds("retry_after", retry_after, 0, 86_400)
        self._app, self._scheduler = app, async_scheduler(scheduler)
        self._agent_of = by_header() if agent_of is None else agent_of
        self._match, self._weight, self._timeout = match, weight, timeout
        self._retry_after = retry_after
        self._cancels = cancel_on_disconnect
        if cancel_on_disconnect:
            need("anyio", "fastapi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (self._match is not None and not self._match(scope)):
            await self._app(scope, receive, send)
            return
        inbox, answer = Inbox(receive), Answer(send)
        try:
            await self._in_slot(scope, inbox, answer)
        except ClientGone:
            pass  # nobody is there to be answered
        except LeaseLostError as error:
            await self._lost(error, answer)
        finally:
            await answer.ended()
            await inbox.aclose()

    async def _in_slot(self, scope: Scope, inbox: Inbox, answer: Answer) -> None:
        agent_id = self._agent_of(scope)
        async with AsyncExitStack() as stack:
            try:
                caller = caller_of(agent_id)
                slot = slot_of(self._scheduler(), caller, self._weight, self._timeout)
                async with inbox.present():
                    lease = await stack.enter_async_context(slot)
            except LocoRedisError as error:
                if (refusal := Refusal.of(error, self._retry_after)) is None:
                    raise
                await answer.refuse(refusal)
                return
            except ValueError as error:
                await answer.refuse(Refusal(400, "agent", str(error), None))
                return
            answer.begin(slot, inbox)
            with agent.of(caller):
                await self._call({**scope, LEASE: lease}, inbox, answer)

    async def _call(self, scope: Scope, inbox: Inbox, answer: Answer) -> None:
        """A client that goes is no failure of the work, so ClientGone ends here."""
        with suppress(ClientGone):
            anyio = sys.modules.get("anyio")  # whose scopes wait for threads; Starlette uses it
            if anyio is None:
                await self._app(scope, inbox.receive, answer.send)
                return
            with anyio.CancelScope() as running:

                def gone() -> None:
                    streams = answer.started and not inbox.listened
                    if not answer.complete and (streams or self._cancels):
                        running.cancel()

                inbox.call_when_gone(gone)
                await self._app(scope, inbox.receive, answer.send)

    async def _lost(self, error: LeaseLostError, answer: Answer) -> None:
        if answer.complete:
            _log.warning("a request was answered, its slot was lost meanwhile: %s", error)
            return
        refusal = Refusal.of(error, self._retry_after)
        if answer.started or refusal is None:
            raise error
        await answer.refuse(refusal)
