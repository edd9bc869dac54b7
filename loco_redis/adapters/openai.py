"""Calls of the OpenAI SDK, through its `http_client=`: chat completions, responses, embeddings,
and the streaming and parsing helpers on top of them, of the async and of the plain client."""

from __future__ import annotations

from typing import Any

from loco_redis._extras import need
from loco_redis.adapters._calls.adapter import Adapter, for_agent, is_async, wrong_client
from loco_redis.adapters._calls.http import module_of
from loco_redis.adapters.transport import AsyncScheduledTransport, ScheduledTransport


class OpenAIAdapter(Adapter):
    """`OpenAIAdapter(scheduler).wrap(AsyncOpenAI())` is a client to be used as before, whose every
    call waits until its agent's turn has come.

    Chat streams are asked for their usage; the chunk with it is hidden from who did not ask.

    Args and errors: as of `Adapter`.
    """

    def _wrapped(self, client: Any) -> Any:
        sdk = need("openai", "openai")
        if not isinstance(client, sdk.OpenAI | sdk.AsyncOpenAI):
            raise wrong_client(client, "an AsyncOpenAI or an OpenAI")
        http = client._client  # there is no public name for it
        module, options = module_of(http), self._options.arguments()
        if is_async(client):
            inner = _AsyncThrough(http)
            transport: Any = AsyncScheduledTransport(self._scheduler, inner, **options)
            scheduled = module.AsyncClient(transport=transport, **_defaults(http))
        else:
            transport = ScheduledTransport(self._scheduler, _Through(http), **options)
            scheduled = module.Client(transport=transport, **_defaults(http))
        return client.with_options(http_client=scheduled)

    def create_chat(self, agent_id: str, **arguments: Any) -> Any:
        """`client.chat.completions.create(...)` for an agent; awaited with an async client."""
        return self.client.chat.completions.create(**for_agent(agent_id, arguments))

    def create_response(self, agent_id: str, **arguments: Any) -> Any:
        """`client.responses.create(...)` for an agent; awaited with an async client."""
        return self.client.responses.create(**for_agent(agent_id, arguments))

    def _made(self, blocking: bool) -> Any:
        sdk = need("openai", "openai")
        return sdk.OpenAI() if blocking else sdk.AsyncOpenAI()


def _defaults(http: Any) -> dict[str, Any]:
    """What a client puts into the requests that it builds."""
    return {name: getattr(http, name) for name in ("headers", "cookies", "params", "timeout")}


class _AsyncThrough:
    """A transport that sends through the client which the program had: with its proxies, hooks,
    limits and redirects."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def handle_async_request(self, request: Any) -> Any:
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()


class _Through:
    """The same for plain code."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def handle_request(self, request: Any) -> Any:
        return self._client.send(request, stream=True)

    def close(self) -> None:
        self._client.close()
