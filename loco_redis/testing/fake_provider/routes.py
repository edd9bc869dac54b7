"""Which form answers which path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from loco_redis.testing.fake_provider import anthropic, bedrock, gemini, openai, responses
from loco_redis.testing.fake_provider.answer import Answer
from loco_redis.testing.fake_provider.record import Request
from loco_redis.testing.fake_provider.reply import Reply

Form = Callable[[Mapping[str, Any], Reply, int], Answer]

_FORMS: dict[str, Form] = {
    "/v1/messages": anthropic.message,
    "/v1/messages/count_tokens": anthropic.token_count,
    "/v1/chat/completions": openai.completion,
    "/v1/embeddings": openai.embeddings,
    "/v1/responses": responses.response,
}
_GEMINI = re.compile(r"/.*/models/(?P<model>[^/:]+):(?P<verb>\w+)")
_GEMINI_FORMS: dict[str, Form] = {
    "generateContent": gemini.content,
    "streamGenerateContent": gemini.stream,
}


def answer_to(request: Request, reply: Reply, number: int) -> Answer:
    """What the provider says to the `number`th request."""
    path = request.path.partition("?")[0]
    if bedrock.answers(path) and request.method == "POST":
        return bedrock.answer_to(path, request.body, reply, number)
    if named := _GEMINI.fullmatch(path):
        return _of_gemini(named["model"], named["verb"], request, reply, number)
    is_anthropic = path.startswith("/v1/messages") or "anthropic-version" in request.headers
    error = anthropic.error if is_anthropic else openai.error
    if reply.failed:
        return error(reply.status, f"scripted: {reply.status}", number)
    if request.method == "GET" and path == "/v1/models":
        return anthropic.models() if is_anthropic else openai.models()
    form = _FORMS.get(path) if request.method == "POST" else None
    if form is None:
        return error(404, f"the fake provider has no {request.method} {path}", number)
    if "model" not in request.body:
        return error(400, "model: field required", number)
    return form(request.body, reply, number)


def _of_gemini(model: str, verb: str, request: Request, reply: Reply, number: int) -> Answer:
    """The model and what it is to do are in the path."""
    if reply.failed:
        return gemini.error(reply.status, f"scripted: {reply.status}", number)
    form = _GEMINI_FORMS.get(verb) if request.method == "POST" else None
    if form is None:
        text = f"the fake provider has no {request.method} {request.path}"
        return gemini.error(404, text, number)
    return form({**request.body, "model": model}, reply, number)
