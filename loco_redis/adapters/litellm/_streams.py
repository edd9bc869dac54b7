"""Streams of LiteLLM that hold their slots, and are used as its own."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any, Self

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.scheduled import Scheduled
from loco_redis.adapters._calls.streams import AsyncStream, Stream
from loco_redis.adapters.litellm._request import Opened, Request, only_usage

#: Makes a call with these arguments.
Send = Callable[..., Any]


class _Scheduled(Scheduled):
    """Its class, too, is the inner stream's."""

    def __init__(self, chunks: Any, opened: Opened) -> None:
        self._chunks, self._inner, self._hides = chunks, opened.stream, opened.hides

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._inner)


class AsyncScheduledStream(_Scheduled):
    """Of `acompletion`."""

    _chunks: AsyncStream[Any]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while only_usage(chunk := await anext(self._chunks)) and self._hides:
            pass
        return chunk

    async def aclose(self) -> None:
        """Stop here: the answer costs what has come of it."""
        await self._chunks.aclose()


class ScheduledStream(_Scheduled):
    """Of `completion`."""

    _chunks: Stream[Any]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while only_usage(chunk := next(self._chunks)) and self._hides:
            pass
        return chunk

    def close(self) -> None:
        """Stop here: the answer costs what has come of it."""
        self._chunks.close()


async def ask(conductor: Conductor, request: Request, send: Send) -> Any:
    """The answer, or a stream that has its slot already."""
    if not request.streams:
        return await conductor.ask(request.call, lambda: send(**request.arguments), request.used)
    opened = Opened(request)

    async def open() -> Any:
        return _AsyncClosable(opened.by(await send(**request.arguments)))

    chunks = await conductor.stream(request.call, open, opened.read).start()
    return AsyncScheduledStream(chunks, opened)


def ask_blocking(conductor: Conductor, request: Request, send: Send) -> Any:
    """The same for plain code."""
    if not request.streams:
        return conductor.ask_blocking(request.call, lambda: send(**request.arguments), request.used)
    opened = Opened(request)

    def open() -> Any:
        return _Closable(opened.by(send(**request.arguments)))

    chunks = conductor.stream_blocking(request.call, open, opened.read).start()
    return ScheduledStream(chunks, opened)


class _AsyncClosable:
    """A stream that closes what it reads from, too: LiteLLM's leave some of it open."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._stream)

    async def aclose(self) -> None:
        for source in (self._stream, *_sources(self._stream)):
            close = getattr(source, "aclose", None) or getattr(source, "close", None)
            with contextlib.suppress(Exception):  # of a connection that nobody uses
                closing = close() if close is not None else None
                if inspect.isawaitable(closing):
                    await closing


class _Closable:
    """The same for plain code, where LiteLLM's cannot be closed at all."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(self._stream)

    def close(self) -> None:
        for source in _sources(self._stream):
            with contextlib.suppress(Exception):
                source.close()


def _sources(stream: Any) -> list[Any]:
    """The provider's stream, or what makes chunks of its lines, and these. A Router's stream reads
    from another one, which is noted on it as `loco_inner`."""
    wrappers = (stream, getattr(stream, "loco_inner", None))
    streams = [getattr(wrapper, "completion_stream", None) for wrapper in wrappers]
    return [*streams, *(getattr(each, "streaming_response", None) for each in streams)]
