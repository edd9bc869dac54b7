"""What callers get of AWS Bedrock in place of the SDK's own streams: an event stream that ends its
call's passage, and a body that has been read."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

from loco_redis._extras import need
from loco_redis.adapters._calls.streams import AsyncStream, Stream


class Standing:
    """Stands for an object of the SDK: has all that it has, and passes for one of its class."""

    def __init__(self, stood_for: Any) -> None:
        self._stood_for = stood_for

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stood_for, name)

    def __repr__(self) -> str:
        return f"<scheduled {self._stood_for!r}>"

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._stood_for)


class Events(Standing):
    """A botocore EventStream. Read to its end, closed or dropped, it gives its slot back."""

    def __init__(self, stream: Any, chunks: Stream[Any]) -> None:
        super().__init__(stream)
        self._chunks = chunks

    def __iter__(self) -> Iterator[Any]:
        return self._chunks

    def close(self) -> None:
        self._chunks.close()


class AsyncEvents(Standing):
    """An AioEventStream of aiobotocore, the same."""

    def __init__(self, stream: Any, chunks: AsyncStream[Any]) -> None:
        super().__init__(stream)
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._chunks

    def close(self) -> None:
        """Plain, as in aiobotocore: the slot is given back soon; after `aclose` it has been."""
        self._chunks.close_soon()

    async def aclose(self) -> None:
        await self._chunks.aclose()


class Opened:
    """An EventStream as its stream of chunks takes it: an iterator that can be closed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._events = iter(stream)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(self._events)

    def close(self) -> None:
        self._stream.close()


class AsyncOpened:
    """The same of an AioEventStream, whose `close` is plain or awaited, by its HTTP client."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._events = aiter(stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._events)

    def close(self) -> Any:
        return self._stream.close()


def body_of(data: bytes) -> Any:
    """A botocore StreamingBody that has been read already."""
    kind = need("botocore.response", "bedrock").StreamingBody
    return kind(io.BytesIO(data), len(data))


def async_body_of(data: bytes) -> Any:
    """A StreamingBody of aiobotocore that has been read already."""
    kind = need("aiobotocore.response", "aiobotocore").StreamingBody
    return kind(_Read(data), str(len(data)))


class _Read:
    """As much of an aiohttp response as a StreamingBody asks for."""

    def __init__(self, data: bytes) -> None:
        self.url = ""
        self.content = self
        self._left = io.BytesIO(data)

    async def read(self, amount: int = -1) -> bytes:
        return self._left.read(amount)

    def at_eof(self) -> bool:
        return self._left.tell() == self._left.getbuffer().nbytes

    def close(self) -> None:
        """There is no connection left."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """There is no connection left."""
