"""A dependency of FastAPI: the handler gets the lease, which is held until its answer is sent."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Annotated, Any

from loco_redis import _validate as validate
from loco_redis._acquisition import Acquisition
from loco_redis._extras import need
from loco_redis.adapters._calls.schedulers import async_scheduler
from loco_redis.adapters._served import Refusal, caller_of, end_early, slot_of
from loco_redis.adapters.asgi import SlotMiddleware
from loco_redis.adapters.asgi._agents import FromScope, by_header, by_path, by_user
from loco_redis.adapters.asgi._inbox import ClientGone, Inbox
from loco_redis.context import Caller
from loco_redis.context import agent as acting
from loco_redis.errors import LeaseLostError, LocoRedisError
from loco_redis.lease import Lease
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts._terms import Terms

fastapi = need("fastapi", "fastapi")
HTTPException = need("starlette.exceptions", "fastapi").HTTPException
ClientDisconnect = need("starlette.requests", "fastapi").ClientDisconnect

_log = logging.getLogger("loco_redis")

__all__ = ["SlotMiddleware", "by_header", "by_path", "by_user", "slot"]

Agent = str | FromScope | Callable[..., Any] | None


def slot(
    scheduler: AsyncLOCOScheduler | None = None,
    *,
    agent: Agent = None,
    weight: float = 1.0,
    timeout: float | None = None,
    retry_after: float = 1.0,
) -> Callable[..., AsyncIterator[Lease]]:
    """For `lease: Annotated[Lease, Depends(slot(scheduler))]` of an HTTP route: the request waits
    for a slot after its body has been read, and holds it until the last byte of the answer has been
    sent; background tasks run without it.

    Args:
        scheduler: whose slots are taken; None: the one that `loco_redis.configure` made.
        agent: an id; or by_header(), by_path(), by_user(); or a dependency that gives one, such as
            a function of the current user. None, also from those: as the context says, else
            "default".
        weight: of each request.
        timeout: seconds to wait for a slot; None: as long as the client does.
        retry_after: seconds that a refused caller is told where nothing better is known.

    The dependency raises HTTPException: 429 (too much work) or 503 (no scheduler) with Retry-After,
    or 400 for an agent id that cannot be one.

    Raises:
        ValueError: at once, for any of them out of range.
    """
    Terms.of(agent if isinstance(agent, str) else None, weight, timeout)
    validate.seconds("retry_after", retry_after, 0, 86_400)
    found = async_scheduler(scheduler)

    async def held(request: Any, background: Any, agent_id: Any) -> AsyncIterator[Lease]:
        caller = _caller(agent_id)
        acquired = slot_of(found(), caller, weight, timeout)
        answered = _Answered(acquired)
        with answered.or_lost(retry_after):
            async with AsyncExitStack() as stack:
                with _refusing(retry_after):
                    lease = await _entered(request, stack, acquired)
                background.add_task(answered)
                with acting.of(caller):
                    try:
                        yield lease
                    except HTTPException as error:
                        if error.status_code < 500:  # an answer, and no failure of the work
                            await end_early(acquired)
                        raise

    held.__signature__ = _signature(agent)  # type: ignore[attr-defined]  # FastAPI goes by it
    return held


async def _entered(request: Any, stack: AsyncExitStack, acquired: Acquisition) -> Lease:
    """The body is read before: what comes then is only that the client has gone."""
    with suppress(RuntimeError):  # FastAPI has parsed it as a form
        await request.body()
    inbox = Inbox(request.receive)
    try:
        async with inbox.present():
            return await stack.enter_async_context(acquired)
    finally:
        await inbox.aclose()


class _Answered:
    """The first of the background tasks, which begin when the answer has been sent."""

    def __init__(self, acquired: Acquisition) -> None:
        self._acquired, self._sent = acquired, False

    async def __call__(self) -> None:
        self._sent = True
        await end_early(self._acquired)

    @contextmanager
    def or_lost(self, retry_after: float) -> Iterator[None]:
        try:
            yield
        except LeaseLostError as error:
            if not self._sent:
                with _refusing(retry_after):
                    raise
            _log.warning("a request was answered, its slot was lost meanwhile: %s", error)


@contextmanager
def _refusing(retry_after: float) -> Iterator[None]:
    try:
        yield
    except (ClientGone, ClientDisconnect):
        # Nobody gets it; it ends the request without a traceback in the log.
        raise fastapi.HTTPException(499, "the client has disconnected") from None
    except LocoRedisError as error:
        if (refusal := Refusal.of(error, retry_after)) is None:
            raise
        raise fastapi.HTTPException(refusal.status, refusal.body, refusal.headers) from error


def _caller(agent_id: Any) -> Caller:
    try:
        return caller_of(agent_id)
    except ValueError as error:
        raise fastapi.HTTPException(400, {"error": "agent", "detail": str(error)}) from None


def _signature(agent: Agent) -> inspect.Signature:
    """What FastAPI gives to the dependency, whose third argument is the agent."""

    def of_scope(request: Any) -> str | None:
        assert isinstance(agent, FromScope)
        return agent(request.scope)

    def fixed() -> Any:
        return agent

    requested = _parameter("request", fastapi.Request)
    of_scope.__signature__ = inspect.Signature([requested])  # type: ignore[attr-defined]
    gives: Any = of_scope if isinstance(agent, FromScope) else agent
    if agent is None or isinstance(agent, str):
        gives = fixed
    return inspect.Signature(
        [
            requested,
            _parameter("background", fastapi.BackgroundTasks),
            _parameter("agent_id", Annotated[Any, fastapi.Depends(gives)]),
        ]
    )


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
