"""The hooks by which LangChain has a chat model answer, scheduled: for a hook of the model's class
each function here gives the one that takes its place.

A model's hooks may call each other. All that run for one call are in its one slot.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.langchain._reading import Sum, usage_of_result
from loco_redis.adapters.langchain._request import Request

Hook = Callable[..., Any]

#: Whose hooks run in this context.
_inside: ContextVar[tuple[Conductor, ...]] = ContextVar("loco_redis_langchain", default=())

_END = object()


def generate_hook(hook: Hook, conductor: Conductor) -> Hook:
    def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if conductor in _inside.get():
            return hook(self, *args, **kwargs)
        request = Request(conductor, self, args, kwargs)

        def send() -> Any:
            with _within(conductor):
                return request.send(hook)

        return conductor.ask_blocking(request.call, send, partial(usage_of_result, request.call))

    return generate


def agenerate_hook(hook: Hook, conductor: Conductor) -> Hook:
    async def agenerate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if conductor in _inside.get():
            return await hook(self, *args, **kwargs)
        request = Request(conductor, self, args, kwargs)

        async def send() -> Any:
            with _within(conductor):
                return await request.send(hook)

        return await conductor.ask(request.call, send, partial(usage_of_result, request.call))

    return agenerate


def stream_hook(read: Callable[..., Any], hook: Hook, conductor: Conductor) -> Hook:
    def stream(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        if conductor in _inside.get():
            return hook(self, *args, **kwargs)  # type: ignore[no-any-return]
        request = Request(conductor, self, args, kwargs)
        request.ask_usage()

        def pieces() -> Iterator[Any]:
            with _within(conductor):
                opened = iter(request.send(hook))
            try:
                while True:
                    with _within(conductor):
                        piece = next(opened, _END)
                    if piece is _END:
                        return
                    yield piece
            finally:
                if hasattr(opened, "close"):
                    opened.close()

        def told(call: ModelCall, piece: Any) -> None:
            if read(summed, call, piece):  # LangChain does not ask for more
                call.ended()
                made().close()

        summed = Sum()
        scheduled = conductor.stream_blocking(request.call, pieces, told)
        made: Any = weakref.ref(scheduled)  # dropping it ends it
        return scheduled

    return stream


def astream_hook(read: Callable[..., Any], hook: Hook, conductor: Conductor) -> Hook:
    def astream(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if conductor in _inside.get():
            return hook(self, *args, **kwargs)  # type: ignore[no-any-return]
        request = Request(conductor, self, args, kwargs)
        request.ask_usage()

        async def pieces() -> AsyncIterator[Any]:
            with _within(conductor):
                opened = aiter(request.send(hook))
            try:
                while True:
                    try:
                        with _within(conductor):
                            piece = await anext(opened)
                    except StopAsyncIteration:
                        return
                    yield piece
            finally:
                if hasattr(opened, "aclose"):
                    await opened.aclose()

        return conductor.stream(request.call, pieces, partial(read, Sum()))

    return astream


@contextmanager
def _within(conductor: Conductor) -> Iterator[None]:
    before = _inside.set((*_inside.get(), conductor))
    try:
        yield
    finally:
        _inside.reset(before)
