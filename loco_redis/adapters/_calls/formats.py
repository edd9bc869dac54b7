"""The wire formats of LLM calls: what requests ask for and what answers report. No I/O.

Nothing here raises on any JSON: what is not understood counts as not said.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from loco_redis.adapters.usage import MOST_TOKENS, Usage, count, mapping

#: Output tokens to expect of a request that sets no limit: an answer of some 4,000 characters.
USUAL_OUTPUT_TOKENS = 1024


class Stream(ABC):
    """What an answer that comes as events has said so far.

    Attributes:
        begun: the model has started to answer.
        complete: `usage` is the last word, not what an answer had used on its way.
        usage: as the provider has reported it.
        characters: of all text that has come: answers, tool calls, reasoning, refusals.
    """

    def __init__(self) -> None:
        self.begun = self.complete = False
        self.usage: Usage | None = None
        self.characters = 0

    @abstractmethod
    def feed(self, event: Mapping[str, Any]) -> None:
        """The next event, parsed."""

    def _count(self, holder: object, keys: tuple[str, ...]) -> None:
        if isinstance(holder, dict):
            for key in keys:
                text = holder.get(key)
                if isinstance(text, str):
                    self.characters += len(text)


class AnthropicStream(Stream):
    """`message_start` reports the input, each `message_delta` the sums so far.

    Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming.
    """

    _TEXTS = ("text", "thinking", "partial_json")

    def __init__(self) -> None:
        super().__init__()
        self._reported: dict[str, Any] = {}

    def feed(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            self.begun = True
            self._count(event.get("delta"), self._TEXTS)
        elif kind == "message_start":
            self.begun = True
            self._merge(mapping(event.get("message")).get("usage"))
        elif kind == "message_delta":
            self._merge(event.get("usage"))
            self.complete |= bool(mapping(event.get("delta")).get("stop_reason"))
        elif kind == "message_stop":
            self.complete = True

    def _merge(self, usage: object) -> None:
        """The higher numbers: all are sums, and some gateways report a 0 for what they left out."""
        for key, value in mapping(usage).items():
            known = self._reported.get(key)
            if isinstance(value, dict) or count(value) > count(known):
                self._reported[key] = value
        if self._reported:
            self.usage = Usage.of_anthropic(self._reported)


class ChatStream(Stream):
    """Chunks of text; the usage is in the last one, where it was asked for.

    Source: https://platform.openai.com/docs/api-reference/chat-streaming. The names of reasoning
    are those of DeepSeek and OpenRouter.
    """

    _TEXTS = ("content", "refusal", "reasoning_content", "reasoning")

    def feed(self, event: Mapping[str, Any]) -> None:
        choices, usage = event.get("choices"), event.get("usage")
        if not isinstance(choices, list):
            return
        self.begun = True
        for choice in choices:
            self._count(choice, ("text",))
            self._count_delta(mapping(mapping(choice).get("delta")))
        if isinstance(usage, dict):
            self.usage = Usage.of_openai(usage)
            finished = (mapping(choice).get("finish_reason") for choice in choices)
            self.complete = not choices or any(finished)

    def _count_delta(self, delta: Mapping[str, Any]) -> None:
        self._count(delta, self._TEXTS)
        self._count(delta.get("function_call"), ("arguments",))
        self._count(delta.get("audio"), ("transcript",))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            self._count(mapping(call).get("function"), ("arguments",))
            self._count(mapping(call).get("custom"), ("input",))


class ResponsesStream(Stream):
    """Deltas of many kinds; the last event carries the whole response with its usage.

    Source: https://platform.openai.com/docs/api-reference/responses-streaming.
    """

    _ENDS = ("response.completed", "response.incomplete", "response.failed")
    _NOT_TEXT = ("response.audio.delta",)

    def feed(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if not isinstance(kind, str):
            return
        if kind.endswith(".delta"):
            self.begun = True
            if kind not in self._NOT_TEXT:
                self._count(event, ("delta",))
        elif kind in self._ENDS:
            usage = mapping(event.get("response")).get("usage")
            if isinstance(usage, dict):
                self.usage = Usage.of_openai(usage)
                self.begun = self.complete = True
            elif kind == "response.failed" and not self.characters:
                self.begun = False  # an error, told late
        elif kind in ("response.created", "response.in_progress"):
            self.begun = True


class Format:
    """One wire format. `name` is stable: it becomes part of task types.

    Attributes:
        path: how the paths of its requests end.
        limits: where a request says how many tokens the answer may have, best first.
        stream: reads an answer that comes as events.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    limits: ClassVar[tuple[str, ...]]
    stream: ClassVar[type[Stream]]

    def matches(self, path: str) -> bool:
        """Whether a request to this path, without its query, makes a model work."""
        return path.rstrip("/").endswith(self.path)

    def max_output_tokens(self, body: Mapping[str, Any]) -> int:
        """The most tokens that the answer may have; where the request sets no limit, a guess."""
        limits = (count(body.get(key)) for key in self.limits)
        return next(filter(None, limits), USUAL_OUTPUT_TOKENS)

    def asking_usage(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The body, changed so that the answer reports its usage; None: it does so anyway."""
        return None

    def usage_of(self, answer: Mapping[str, Any]) -> Usage | None:
        """What a complete answer reports."""
        usage = answer.get("usage")
        return self._read(usage) if isinstance(usage, dict) else None

    def hides(self, event: Mapping[str, Any]) -> bool:
        """Whether an event came only because of `asking_usage`."""
        return False

    def _read(self, usage: Mapping[str, Any]) -> Usage:
        return Usage.of_openai(usage)


class _Anthropic(Format):
    name, path, limits = "anthropic", "/v1/messages", ("max_tokens",)
    stream = AnthropicStream

    def _read(self, usage: Mapping[str, Any]) -> Usage:
        return Usage.of_anthropic(usage)


class _Chat(Format):
    name, path = "openai_chat", "/completions"  # also the legacy ones, without /chat
    limits = ("max_completion_tokens", "max_tokens")
    stream = ChatStream

    def max_output_tokens(self, body: Mapping[str, Any]) -> int:
        choices = max(count(body.get("n")), 1)
        return min(super().max_output_tokens(body) * choices, MOST_TOKENS)

    def asking_usage(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        options = body.get("stream_options")
        if body.get("stream") is not True or not isinstance(options, dict | None):
            return None
        options = options or {}
        if options.get("include_usage") is True:
            return None
        return {**body, "stream_options": {**options, "include_usage": True}}

    def hides(self, event: Mapping[str, Any]) -> bool:
        return event.get("choices") == [] and isinstance(event.get("usage"), dict)


class _Responses(Format):
    name, path, limits = "openai_responses", "/responses", ("max_output_tokens",)
    stream = ResponsesStream


class _Embeddings(Format):
    name, path, limits = "openai_embeddings", "/embeddings", ()
    stream = ChatStream  # they never stream

    def max_output_tokens(self, body: Mapping[str, Any]) -> int:
        return 0


FORMATS: tuple[Format, ...] = (_Anthropic(), _Chat(), _Responses(), _Embeddings())


def format_of(path: str) -> Format | None:
    """The wire format of requests to a path (without its query); None: no LLM call."""
    return next((wire for wire in FORMATS if wire.matches(path)), None)
