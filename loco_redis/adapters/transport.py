"""HTTP transports that take a slot for each LLM request, under any client of httpx or httpx2.

    client = httpx.AsyncClient(transport=AsyncScheduledTransport(scheduler))

They lie below retries and redirects: one slot for each attempt, given back when its answer is
closed. Every SDK that takes such a client (`http_client=`) is scheduled by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from loco_redis import _validate as validate
from loco_redis.adapters._calls.call import CallArguments, CallOptions
from loco_redis.adapters._calls.exchange import exchange, exchange_async
from loco_redis.adapters._calls.formats import format_of
from loco_redis.adapters._calls.http import changed, module_of
from loco_redis.adapters._calls.http_call import AGENT_HEADER, HTTPCall
from loco_redis.adapters._calls.schedulers import async_scheduler, blocking_scheduler
from loco_redis.blocking import LOCOScheduler
from loco_redis.scheduler import AsyncLOCOScheduler

if TYPE_CHECKING:
    import httpx
    import httpx2

    # A client takes anything with the methods; type checkers want its module's class.
    class _AsyncTransport(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):  # type: ignore[misc]
        pass

    class _Transport(httpx.BaseTransport, httpx2.BaseTransport):  # type: ignore[misc]
        pass
else:
    _AsyncTransport = _Transport = object

Match = Callable[[Any], bool]


class _Requests:
    """Knows which requests are LLM calls."""

    def __init__(self, match: Match | None, options: CallOptions) -> None:
        if match is not None and not callable(match):
            raise ValueError(f"match must be a function of a request, got {validate.shown(match)}")
        self._match, self._options = match, options

    def wanted(self, request: Any) -> bool:
        if self._match is not None:
            return self._match(request)
        return request.method == "POST" and format_of(request.url.path) is not None

    def call(self, request: Any) -> HTTPCall:
        """Of a request whose body has been read."""
        try:
            body = json.loads(request.content)
        except (ValueError, RecursionError):
            body = None
        return HTTPCall(
            self._options,
            format_of(request.url.path),
            body if isinstance(body, dict) else {},
            request.headers.get(AGENT_HEADER),
            str(request.url),
        )


def _to_send(request: Any, call: HTTPCall) -> Any:
    return changed(request, call.content() if call.changed else None, without=AGENT_HEADER)


class AsyncScheduledTransport(_AsyncTransport):
    """For `httpx.AsyncClient(transport=...)`, or httpx2's.

    Args:
        scheduler: whose slots are taken; None: the one that `loco_redis.configure` made.
        inner: the transport that sends; None: the client's module's own, with its defaults.
        match: request -> whether it takes a slot; None: POSTs to the paths of the known formats
            (Anthropic messages; OpenAI chat and legacy completions, responses, embeddings).
        options: as in CallArguments.

    A request may raise what `acquire` raises, before anything is sent. A client closes it, and it
    closes `inner`.

    Raises:
        ValueError: any of them out of range, or a scheduler for plain code.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler | None = None,
        inner: Any = None,
        *,
        match: Match | None = None,
        **options: Unpack[CallArguments],
    ) -> None:
        self._scheduler = async_scheduler(scheduler)
        self._inner = inner
        self._requests = _Requests(match, CallOptions.of(**options))

    async def handle_async_request(self, request: Any) -> Any:
        if self._inner is None:
            self._inner = module_of(request).AsyncHTTPTransport()
        if not self._requests.wanted(request):
            request.headers.pop(AGENT_HEADER, None)
            return await self._inner.handle_async_request(request)
        await request.aread()
        call = self._requests.call(request)
        inner = self._inner.handle_async_request
        return await exchange_async(self._scheduler(), call, lambda: inner(_to_send(request, call)))

    async def aclose(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()

    async def __aenter__(self) -> Self:
        if self._inner is not None:
            await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._inner is not None:
            await self._inner.__aexit__(exc_type, exc, traceback)


class ScheduledTransport(_Transport):
    """For `httpx.Client(transport=...)`, or httpx2's: as AsyncScheduledTransport, for plain code
    and with a LOCOScheduler."""

    def __init__(
        self,
        scheduler: LOCOScheduler | None = None,
        inner: Any = None,
        *,
        match: Match | None = None,
        **options: Unpack[CallArguments],
    ) -> None:
        self._scheduler = blocking_scheduler(scheduler)
        self._inner = inner
        self._requests = _Requests(match, CallOptions.of(**options))

    def handle_request(self, request: Any) -> Any:
        if self._inner is None:
            self._inner = module_of(request).HTTPTransport()
        if not self._requests.wanted(request):
            request.headers.pop(AGENT_HEADER, None)
            return self._inner.handle_request(request)
        request.read()
        call = self._requests.call(request)
        inner = self._inner.handle_request
        return exchange(self._scheduler(), call, lambda: inner(_to_send(request, call)))

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()

    def __enter__(self) -> Self:
        if self._inner is not None:
            self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._inner is not None:
            self._inner.__exit__(exc_type, exc, traceback)
