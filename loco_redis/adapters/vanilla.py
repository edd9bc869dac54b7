"""Calls of anything: an SDK without an adapter, a model in this process, a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, Unpack

from loco_redis import _validate as validate
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.schedulers import Given
from loco_redis.adapters.usage import Usage

F = TypeVar("F", bound=Callable[..., Any])

#: Finds what has been used in what a function returns, or in a piece that it yields; None: it does
#: not say.
Used = Callable[[Any], Usage | None]


#: Finds the text in a piece that a generator yields.
Text = Callable[[Any], str | None]


def _silent(_: Any) -> None:
    return None


def _itself(piece: Any) -> str:
    return piece if isinstance(piece, str) else ""


class VanillaAdapter:
    """`VanillaAdapter(scheduler).wrap(fn)` is a function to be called as before, whose every call
    waits until its agent's turn has come.

    Args:
        scheduler: whose slots are taken: an AsyncLOCOScheduler, a LOCOScheduler for plain functions
            only, or None: the one that `loco_redis.configure` made.
        options: as in CallArguments.

    Raises:
        ValueError: any of them out of range.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        self._conductor = Conductor("call", scheduler, **options)

    def wrap(
        self, function: F, *, model: str = "", used: Used = _silent, text: Text = _itself
    ) -> F:
        """The scheduled function. It may be plain, async, a generator or an async generator; of the
        latter two the slot is held from the first piece to the last, or until they are closed or
        dropped.

        Args:
            model: what it calls, for the weight, the cost and the statistics.
            used: what it has used; of a generator asked for each piece, of which the last
                that says so counts.
            text: of a piece that a generator yields: what one has used that ends early is guessed
                by it.

        Raises:
            ValueError: `function` cannot be called.
        """
        if not callable(function):
            raise ValueError(f"function must be callable, got {validate.shown(function)}")
        conductor = self._conductor

        def call(args: Any, kwargs: Any) -> tuple[ModelCall, Callable[[], Any]]:
            made = conductor.call(model, [*args, *kwargs.values()])
            return made, functools.partial(function, *args, **kwargs)

        def read(made: ModelCall, piece: Any) -> None:
            made.seen(text(piece))
            made.used(used(piece))

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            made, send = call(args, kwargs)
            return await conductor.ask(made, send, used)

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            made, send = call(args, kwargs)
            return conductor.ask_blocking(made, send, used)

        @functools.wraps(function)
        def pieces_awaited(*args: Any, **kwargs: Any) -> Any:
            made, send = call(args, kwargs)
            return conductor.stream(made, send, read)

        @functools.wraps(function)
        def pieces(*args: Any, **kwargs: Any) -> Any:
            made, send = call(args, kwargs)
            return conductor.stream_blocking(made, send, read)

        kinds: list[tuple[Callable[[Any], bool], Any]] = [
            (inspect.isasyncgenfunction, pieces_awaited),
            (inspect.isgeneratorfunction, pieces),
            (inspect.iscoroutinefunction, awaited),
        ]
        for kind in (function, getattr(function, "__call__", None)):  # noqa: B004  of objects
            for is_kind, scheduled in kinds:
                if is_kind(kind):
                    return scheduled  # type: ignore[no-any-return]
        return plain  # type: ignore[return-value]
