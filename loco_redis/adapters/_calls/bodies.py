"""Response bodies that are read on their way, and end their call's passage when they are closed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from loco_redis.adapters._calls.answer import Answer
from loco_redis.adapters._calls.http import module_of
from loco_redis.adapters._calls.http_call import HTTPCall
from loco_redis.adapters._calls.passage import BlockingPassage, Passage


class _AsyncBody:
    """A stream dropped without being closed, or never iterated, ends its passage, too."""

    _closed = True  # until there is something to close

    def __init__(self, stream: Any, passage: Passage, answer: Answer) -> None:
        self._stream, self._passage, self._answer = stream, passage, answer
        self._error: BaseException | None = None
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        answer, passage = self._answer, self._passage
        try:
            async for chunk in self._stream:
                passage.check()
                if passed := answer.feed(chunk):
                    yield passed
            if rest := answer.flush():
                yield rest
        except GeneratorExit:  # closed early: not an error
            raise
        except BaseException as error:
            self._error = error
            await self.aclose()  # not every client does
            raise
        await self.aclose()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._stream.aclose()
        finally:
            await self._passage.end(self._error)

    def __del__(self) -> None:
        if not self._closed:
            self._passage.abandon(self._stream.aclose)


class _Body:
    """The same for plain code."""

    _closed = True

    def __init__(self, stream: Any, passage: BlockingPassage, answer: Answer) -> None:
        self._stream, self._passage, self._answer = stream, passage, answer
        self._error: BaseException | None = None
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        answer, passage = self._answer, self._passage
        try:
            for chunk in self._stream:
                passage.check()
                if passed := answer.feed(chunk):
                    yield passed
            if rest := answer.flush():
                yield rest
        except GeneratorExit:  # closed early: not an error
            raise
        except BaseException as error:
            self._error = error
            self.close()
            raise
        self.close()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._stream.close()
        finally:
            self._passage.end(self._error)

    def __del__(self) -> None:
        if not self._closed:
            self._passage.abandon(self._stream.close)


@cache
def _kinds(module: ModuleType) -> tuple[type, type]:
    """The clients insist on streams of their own module's classes."""
    return (
        type("AsyncScheduledBody", (_AsyncBody, module.AsyncByteStream), {}),
        type("ScheduledBody", (_Body, module.SyncByteStream), {}),
    )


def lead_async(response: Any, passage: Passage, call: HTTPCall) -> None:
    """The response's body ends the passage."""
    response.stream = _kinds(module_of(response))[0](response.stream, passage, call.answer)


def lead(response: Any, passage: BlockingPassage, call: HTTPCall) -> None:
    """The response's body ends the passage."""
    response.stream = _kinds(module_of(response))[1](response.stream, passage, call.answer)
