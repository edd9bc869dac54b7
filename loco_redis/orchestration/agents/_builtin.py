"""The handler for agents whose backends name a provider: one chat call over HTTP."""

from __future__ import annotations

from typing import Any

from loco_redis.adapters.usage import Usage, mapping
from loco_redis.errors import BackendFailure
from loco_redis.orchestration.agents.backends import BackendSection
from loco_redis.orchestration.agents.call import AgentCall

_PATHS = {"openai": "chat/completions", "anthropic": "v1/messages"}


class ChatHandler:
    """Sends a message that is a text as the user's turn, one that is a list as the turns of a
    conversation, one that is an object as the body of the request. The reply is the answer's text.
    """

    def __init__(self, backends: dict[str, BackendSection]) -> None:
        self._backends = backends

    async def __call__(self, message: Any, call: AgentCall) -> str:
        """Raises httpx.HTTPStatusError, which fails over where another backend may do better."""
        assert call.route is not None
        backend = self._backends[call.route.backend.name]
        assert backend.provider is not None
        headers = {"idempotency-key": call.route.request_id}
        response = await call.client.post(
            _PATHS[backend.provider], json=_body(message, call, backend), headers=headers
        )
        response.raise_for_status()
        try:
            answer = mapping(response.json())
            text, usage = _READ[backend.provider](answer)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise BackendFailure(f"an answer that cannot be read: {error!r}") from None
        if usage.total_tokens:
            await call.route.used(usage.prompt_tokens, usage.output_tokens)
        return text


def _body(message: Any, call: AgentCall, backend: BackendSection) -> dict[str, Any]:
    most = {"max_tokens": backend.max_output_tokens} if backend.provider == "anthropic" else {}
    default = {"model": call.model, **most}
    if isinstance(message, dict):
        return {**default, **message}
    turns = message if isinstance(message, list) else [{"role": "user", "content": str(message)}]
    return {**default, "messages": turns}


def _openai(answer: Any) -> tuple[str, Usage]:
    text = answer["choices"][0]["message"]["content"]
    return str(text or ""), Usage.of_openai(mapping(answer.get("usage")))


def _anthropic(answer: Any) -> tuple[str, Usage]:
    text = "".join(part["text"] for part in answer["content"] if part["type"] == "text")
    return text, Usage.of_anthropic(mapping(answer.get("usage")))


_READ = {"openai": _openai, "anthropic": _anthropic}
