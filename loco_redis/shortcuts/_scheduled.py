"""The decorator of the one-line API, for each kind of function."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, TypeVar, cast, overload

from loco_redis.shortcuts._calls import Function, call, call_blocking, name_of
from loco_redis.shortcuts._steps import AsyncSlot, BlockingSlot
from loco_redis.shortcuts._terms import Terms

F = TypeVar("F", bound=Callable[..., Any])


@overload
def scheduled(agent_id: F, /) -> F: ...
@overload
def scheduled(
    agent_id: str | None = None, weight: float | None = None, timeout: float | None = None
) -> Callable[[F], F]: ...
def scheduled(
    agent_id: Function | str | None = None,
    weight: float | None = None,
    timeout: float | None = None,
) -> Any:
    """Decorates a function whose calls wait for a slot, and hold it while they run. It stays of its
    kind: async function, async generator, plain function or generator.

    A generator holds its slot from its first step until it ends, or is closed or dropped. Plain
    functions and generators take their slots from the blocking scheduler: call them in threads
    without an event loop, as by `await asyncio.to_thread(...)`. Inside a slot of this resource that
    the context holds already, that one is used.

    Args: as of `wrap`.

    Raises:
        ValueError: bad arguments.
        TypeError: not a function. When called: a plain function returns what would run later,
            without a slot.
        RuntimeError: when called: nothing is configured.
    """
    if callable(agent_id):
        return _decorated(agent_id, Terms.of(None, weight, timeout))
    return partial(_decorated, terms=Terms.of(agent_id, weight, timeout))


def _decorated(fn: F, terms: Terms) -> F:
    if isinstance(fn, classmethod | staticmethod | type) or not callable(fn):
        raise TypeError(
            f"@scheduled decorates functions, got {fn!r}: put it below @staticmethod and "
            "@classmethod, and on the methods of a class"
        )
    if inspect.isasyncgenfunction(fn):
        made = _async_generator(fn, terms)
    elif inspect.iscoroutinefunction(fn):
        made = _async_function(fn, terms)
    elif inspect.isgeneratorfunction(fn):
        made = _generator(fn, terms)
    else:
        made = _function(fn, terms)
    return cast(F, made)


def _async_function(fn: Function, terms: Terms) -> Function:
    @functools.wraps(fn)
    async def scheduled(*args: Any, **kwargs: Any) -> Any:
        return await call(fn, args, kwargs, terms)

    return scheduled


def _function(fn: Function, terms: Terms) -> Function:
    @functools.wraps(fn)
    def scheduled(*args: Any, **kwargs: Any) -> Any:
        _warn_of_loop(fn, f"await asyncio.to_thread({name_of(fn)}, ...)")
        return call_blocking(fn, args, kwargs, terms)

    return scheduled


def _async_generator(fn: Function, terms: Terms) -> Function:
    @functools.wraps(fn)
    async def scheduled(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner, slot = fn(*args, **kwargs), AsyncSlot(terms)
        step = partial(_begin, inner)
        try:
            while True:
                try:
                    item = await slot.step(step)
                except StopAsyncIteration:
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:  # noqa: BLE001  it is for the inner one
                    step = partial(inner.athrow, thrown)
                else:
                    step = partial(inner.asend, sent)
        except BaseException as error:
            await slot.end(inner.aclose, error)
            raise
        await slot.end(inner.aclose)

    return scheduled


def _begin(inner: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """The first step of a generator that the event loop is not to know: at its end the loop closes
    all those it knows at once, and this one is closed by the other, in its slot."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=None, finalizer=None)
    try:
        return inner.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _generator(fn: Function, terms: Terms) -> Function:
    @functools.wraps(fn)
    def scheduled(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        _warn_of_loop(fn, "make it an async generator, or iterate it in a thread")
        inner, slot = fn(*args, **kwargs), BlockingSlot(terms)
        step = partial(inner.send, None)
        try:
            while True:
                try:
                    item = slot.step(step)
                except StopIteration as end:
                    result = end.value
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as thrown:  # noqa: BLE001  it is for the inner one
                    step = partial(inner.throw, thrown)
                else:
                    step = partial(inner.send, sent)
        except BaseException as error:
            slot.end(inner.close, error)
            raise
        slot.end(inner.close)
        return result

    return scheduled


def _warn_of_loop(fn: Function, remedy: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    warnings.warn(
        f"{name_of(fn)} is a plain function with @scheduled: here it blocks the event loop while "
        f"it waits and runs: {remedy}",
        RuntimeWarning,
        stacklevel=3,
    )
