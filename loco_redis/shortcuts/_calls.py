"""One scheduled call: take a slot, call, give it back."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from loco_redis.context import agent
from loco_redis.shortcuts._defaults import defaults
from loco_redis.shortcuts._terms import Terms

Function = Callable[..., Any]


async def call(fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any], terms: Terms) -> Any:
    """In the event loop; what can be awaited is awaited."""
    caller = terms.caller()
    slot = defaults.scheduler().acquire(
        caller.agent_id, caller.task(terms.weight), timeout=terms.timeout, nested="share"
    )
    async with slot:
        with agent.of(caller):
            result = fn(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            refuse_iterator(fn, result)
            return result


def call_blocking(
    fn: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any], terms: Terms
) -> Any:
    """In this thread."""
    caller = terms.caller()
    slot = defaults.blocking_scheduler().acquire(
        caller.agent_id, caller.task(terms.weight), timeout=terms.timeout, nested="share"
    )
    with slot, agent.of(caller):
        result = fn(*args, **kwargs)
        if inspect.isawaitable(result):
            _end(result)
            raise TypeError(
                f"{name_of(fn)} is a plain function that returns an awaitable, which would run "
                "without a slot: make it `async def`, or put @scheduled right above the one that is"
            )
        refuse_iterator(fn, result)
        return result


def refuse_iterator(fn: Function, result: object) -> None:
    """Raises TypeError for work that has not been done yet, and would be done without a slot."""
    if inspect.isasyncgen(result) or inspect.isgenerator(result):
        raise TypeError(
            f"{name_of(fn)} returns a generator, which would run without a slot: put "
            "@loco_redis.scheduled on the generator function itself"
        )


def name_of(fn: object) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def _end(awaitable: Any) -> None:
    """Nobody will await it: neither may it run on, nor warn of that."""
    for ending in ("close", "cancel"):  # of a coroutine; of a future
        if callable(end := getattr(awaitable, ending, None)):
            with contextlib.suppress(Exception):
                end()
            return
