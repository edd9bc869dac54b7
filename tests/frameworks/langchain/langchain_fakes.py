"""Chat models of a program's own, with the hooks that a test is about."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

USAGE: Any = {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42}
WORDS = ["one ", "two ", "three"]


def result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])


def chunks() -> list[ChatGenerationChunk]:
    """The last but one and the last share the usage."""
    parts = [None, {**USAGE, "output_tokens": 0, "total_tokens": 30}, {**USAGE, "input_tokens": 0}]
    return [
        ChatGenerationChunk(message=AIMessageChunk(content=word, usage_metadata=part))
        for word, part in zip(WORDS, parts, strict=True)
    ]


class OnlyPlain(BaseChatModel):
    """`_generate` and `_stream`: LangChain runs them in threads for async callers."""

    model: str = "gpt-5-nano"
    gate: Any = None

    @property
    def _llm_type(self) -> str:
        return "only-plain"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return result(AIMessage("".join(WORDS), usage_metadata=USAGE))

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for index, chunk in enumerate(chunks()):
            if index and self.gate is not None:
                self.gate.wait(10)
            yield chunk


class OneInTheOther(OnlyPlain):
    """Its hooks for whole answers read its streams."""

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return result(whole(list(self._stream(messages, *args, **kwargs))))

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return result(whole([chunk async for chunk in self._astream(messages)]))

    async def _astream(
        self, messages: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in chunks():
            yield chunk


def whole(parts: list[ChatGenerationChunk]) -> AIMessage:
    text = "".join(chunk.text for chunk in parts)
    return AIMessage(text, usage_metadata=USAGE)


class Events(OnlyPlain):
    """Speaks the event protocol itself."""

    def _stream_chat_model_events(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        yield {"event": "message-start", "role": "ai", "id": "m"}
        start = {"type": "text", "text": ""}
        yield {"event": "content-block-start", "index": 0, "content": start}
        for word in WORDS:
            delta = {"type": "text-delta", "text": word}
            yield {"event": "content-block-delta", "index": 0, "delta": delta}
        block = {"type": "text", "text": "".join(WORDS)}
        yield {"event": "content-block-finish", "index": 0, "content": block}
        yield {"event": "message-finish", "usage": USAGE}

    async def _astream_chat_model_events(
        self, messages: Any, **kwargs: Any
    ) -> AsyncIterator[dict[str, Any]]:
        for event in self._stream_chat_model_events(messages, **kwargs):
            yield event


class Calling(OnlyPlain):
    """Answers with these messages in turn: calls of tools, in the end a text. Remembers how many
    ran at once."""

    answers: list[AIMessage]
    running: int = 0
    lock: Any = threading.Lock()

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[tool.name for tool in tools])

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        with self.lock:
            asked = sum(isinstance(message, AIMessage) for message in messages)
        message = self.answers[asked].model_copy()
        message.usage_metadata = USAGE
        return result(message)

    _stream = BaseChatModel._stream


async def calls_of_all_kinds(model: Any) -> None:
    """Six: async and plain, of a whole answer, of a stream, of events."""
    text = "".join(WORDS)
    assert (await model.ainvoke("?")).text == text
    assert "".join([chunk.text async for chunk in model.astream("?")]) == text
    assert (await (await model.astream_events("?", version="v3"))).text == text
    assert (await asyncio.to_thread(model.invoke, "?")).text == text
    streamed = await asyncio.to_thread(lambda: list(model.stream("?")))
    assert "".join(chunk.text for chunk in streamed) == text
    events = await asyncio.to_thread(lambda: model.stream_events("?", version="v3").output)
    assert events.text == text
