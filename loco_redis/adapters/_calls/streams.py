"""Answers of a framework that come in pieces, in their call's passage."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, Self, TypeVar

from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.passage import BlockingPassage, Passage
from loco_redis.adapters._calls.telling import context_of, tell_failure, tell_use

C = TypeVar("C")

#: Tells a call what a chunk brings, by `ModelCall.seen` and `ModelCall.used`.
Read = Callable[[ModelCall, C], None]


class AsyncStream(Generic[C]):
    """The chunks of an answer. Its slot is taken by `start`, or with the first chunk, and given
    back with the last one, at an error, and when it is closed or dropped."""

    _ended = True  # until there is something to end

    def __init__(
        self,
        passage: Passage,
        call: ModelCall,
        open: Callable[[], AsyncIterator[C] | Awaitable[AsyncIterator[C]]],
        read: Read[C],
    ) -> None:
        self._passage, self._call, self._open, self._read = passage, call, open, read
        self._chunks: Any = None
        self._ended = False

    async def start(self) -> Self:
        """Take the slot, and open the answer."""
        await self._passage.begin()
        try:
            with context_of(self._passage):
                opened = self._open()
                self._chunks = await opened if inspect.isawaitable(opened) else opened
        except BaseException as error:
            await self._end(error)
            raise
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> C:
        if self._ended:
            raise StopAsyncIteration
        if self._chunks is None:
            await self.start()
        try:
            if not self._passage.covered:
                self._passage.check()
            with context_of(self._passage):
                chunk: C = await anext(self._chunks)
        except StopAsyncIteration:
            self._call.ended()
            await self._end()
            raise
        except BaseException as error:
            await self._end(error)
            raise
        tell_use(self._call, lambda: self._read(self._call, chunk))
        return chunk

    async def aclose(self) -> None:
        """Stop here: the answer costs what has come of it."""
        if not self._ended:
            await self._end()

    def close_soon(self) -> None:
        """The same for who cannot await it: begun at once, from any thread."""
        if not self._ended:
            self._ended = True
            self._passage.abandon(self._close)

    async def _end(self, error: BaseException | None = None) -> None:
        self._ended = True
        if error is not None:
            tell_failure(self._passage, error)
        try:
            await self._close()
        finally:
            await self._passage.end(error)

    async def _close(self) -> None:
        close = getattr(self._chunks, "aclose", None) or getattr(self._chunks, "close", None)
        if close is not None:
            closing = close()
            if inspect.isawaitable(closing):
                await closing

    def __del__(self) -> None:
        if not self._ended:
            self._passage.abandon(self._close)


class Stream(Generic[C]):
    """The same for plain code."""

    _ended = True

    def __init__(
        self,
        passage: BlockingPassage,
        call: ModelCall,
        open: Callable[[], Iterator[C]],
        read: Read[C],
    ) -> None:
        self._passage, self._call, self._open, self._read = passage, call, open, read
        self._chunks: Any = None
        self._ended = False

    def start(self) -> Self:
        """Take the slot, and open the answer."""
        self._passage.begin()
        try:
            with context_of(self._passage):
                self._chunks = self._open()
        except BaseException as error:
            self._end(error)
            raise
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> C:
        if self._ended:
            raise StopIteration
        if self._chunks is None:
            self.start()
        try:
            if not self._passage.covered:
                self._passage.check()
            with context_of(self._passage):
                chunk: C = next(self._chunks)
        except StopIteration:
            self._call.ended()
            self._end()
            raise
        except BaseException as error:
            self._end(error)
            raise
        tell_use(self._call, lambda: self._read(self._call, chunk))
        return chunk

    def close(self) -> None:
        """Stop here: the answer costs what has come of it."""
        if not self._ended:
            self._end()

    def _end(self, error: BaseException | None = None) -> None:
        self._ended = True
        if error is not None:
            tell_failure(self._passage, error)
        try:
            self._close()
        finally:
            self._passage.end(error)

    def _close(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()

    def __del__(self) -> None:
        if not self._ended:
            self._passage.abandon(self._close)
