"""Calls of the Anthropic SDK, through its middleware, which sees each HTTP attempt.

Create, stream, parse, beta and raw calls go this way, of the async and of the plain client, and of
those for Bedrock and Vertex. Counting tokens and batches take no slot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from loco_redis._extras import need
from loco_redis.adapters._calls.adapter import Adapter, for_agent, is_async, wrong_client
from loco_redis.adapters._calls.call import CallOptions
from loco_redis.adapters._calls.exchange import exchange, exchange_async
from loco_redis.adapters._calls.formats import format_of
from loco_redis.adapters._calls.http_call import AGENT_HEADER, HTTPCall
from loco_redis.adapters._calls.schedulers import Given, async_scheduler, blocking_scheduler


class AnthropicAdapter(Adapter):
    """`AnthropicAdapter(scheduler).wrap(AsyncAnthropic())` is a client to be used as before, whose
    every call waits until its agent's turn has come.

    Args and errors: as of `Adapter`.
    """

    def _wrapped(self, client: Any) -> Any:
        sdk = need("anthropic", "anthropic")
        if not hasattr(client, "with_middleware"):
            raise wrong_client(client, "an AsyncAnthropic or an Anthropic")
        requests = _Requests(self._options, client, sdk.Omit())
        make = _async_middleware if is_async(client) else _middleware
        return client.with_middleware(make(self._scheduler, requests))

    def create_message(self, agent_id: str, **arguments: Any) -> Any:
        """`client.messages.create(...)` for an agent; awaited with an async client."""
        return self.client.messages.create(**for_agent(agent_id, arguments))

    def create(self, **arguments: Any) -> Any:
        """The same for the agent of the context: `with loco_redis.agent("analyst"):`."""
        return self.client.messages.create(**arguments)

    def _made(self, blocking: bool) -> Any:
        sdk = need("anthropic", "anthropic")
        return sdk.Anthropic() if blocking else sdk.AsyncAnthropic()


class _Requests:
    """Makes calls of the SDK's requests. `omit` takes a default header of the client away."""

    def __init__(self, options: CallOptions, client: Any, omit: Any) -> None:
        self._options, self._omit = options, omit
        self._default = _agent_in(client.default_headers)

    def call(self, request: Any) -> HTTPCall | None:
        """None for what takes no slot."""
        wire = format_of(request.url.partition("?")[0])
        if wire is None or request.method.upper() != "POST":
            return None
        body = request.json if isinstance(request.json, Mapping) else {}
        return HTTPCall(self._options, wire, body, _agent_in(request.headers) or self._default)

    def to_send(self, request: Any, call: HTTPCall | None) -> Any:
        headers = {k: v for k, v in request.headers.items() if k.lower() != AGENT_HEADER}
        headers[AGENT_HEADER] = self._omit
        if call is None:
            return request.copy(headers=headers)
        headers["accept-encoding"] = "identity"  # it is read on its way
        changes = {"body": dict(call.body)} if call.changed else {}
        return request.copy(headers=headers, **changes)


def _agent_in(headers: Mapping[str, Any]) -> str | None:
    found = (v for k, v in headers.items() if k.lower() == AGENT_HEADER)
    return next((v for v in found if isinstance(v, str)), None)


def _async_middleware(scheduler: Given, requests: _Requests) -> Callable[..., Any]:
    chosen = async_scheduler(scheduler)

    async def scheduled(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        call = requests.call(request)
        if call is None:
            return await call_next(requests.to_send(request, None))
        return await exchange_async(
            chosen(), call, lambda: call_next(requests.to_send(request, call)), _http
        )

    return scheduled


def _middleware(scheduler: Given, requests: _Requests) -> Callable[..., Any]:
    chosen = blocking_scheduler(scheduler)

    def scheduled(request: Any, call_next: Callable[[Any], Any]) -> Any:
        call = requests.call(request)
        if call is None:
            return call_next(requests.to_send(request, None))
        return exchange(chosen(), call, lambda: call_next(requests.to_send(request, call)), _http)

    return scheduled


def _http(response: Any) -> Any:
    return getattr(response, "http_response", None)
