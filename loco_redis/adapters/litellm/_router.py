"""A Router of LiteLLM each of whose attempts waits for a slot.

The slot comes first, then the Router picks the deployment: what it picks by (who is cooling down,
who is busy) is of that moment then.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.loop_of import LoopOf
from loco_redis.adapters.litellm._request import Request, name_of
from loco_redis.adapters.litellm._streams import ask, ask_blocking
from loco_redis.errors import LocoRedisError
from loco_redis.scheduler import AsyncLOCOScheduler

_PLAIN = ("_completion", "_embedding")


class _Refused(BaseException):
    """Goes past the Router's `except Exception`: it would try a refused call again, and others."""

    def __init__(self, error: LocoRedisError) -> None:
        self.error = error


def scheduled_router(router: Any, conductor: Conductor) -> Any:
    """A copy, which shares the deployments and what is known of them."""
    scheduled = copy.copy(router)
    scheduled.__class__ = _scheduled_class(type(router))
    scheduled._loco = conductor
    if hasattr(router, "chat"):  # calls the Router that it was made for
        scheduled.chat = copy.copy(router.chat)
        scheduled.chat.completions = copy.copy(router.chat.completions)
        scheduled.chat.completions.router_obj = scheduled
    return scheduled


def _scheduled_class(kind: Any) -> Any:
    """Attempts are made by the methods with an underscore."""

    class Scheduled(kind):
        async def _acompletion(self, model: str, messages: Any, **more: Any) -> Any:
            return await self._attempt(super()._acompletion, model, messages=messages, **more)

        async def _aembedding(self, input: Any, model: str, **more: Any) -> Any:
            return await self._attempt(super()._aembedding, model, input=input, **more)

        def _completion(self, model: str, messages: Any, **more: Any) -> Any:
            return self._plain_attempt(super()._completion, model, messages=messages, **more)

        def _embedding(self, input: Any, model: str, **more: Any) -> Any:
            return self._plain_attempt(super()._embedding, model, input=input, **more)

        def _completion_streaming_iterator(
            self, model_response: Any, *args: Any, **more: Any
        ) -> Any:
            stream = super()._completion_streaming_iterator(model_response, *args, **more)
            stream.loco_inner = model_response
            return stream

        async def _acompletion_streaming_iterator(
            self, model_response: Any, *args: Any, **more: Any
        ) -> Any:
            stream = await super()._acompletion_streaming_iterator(model_response, *args, **more)
            stream.loco_inner = model_response
            return stream

        async def _attempt(self, send: Any, model: str, **more: Any) -> Any:
            try:
                return await ask(self._loco, _request(self, model, more), send)
            except LocoRedisError as error:
                raise _Refused(error) from error

        def _plain_attempt(self, send: Any, model: str, **more: Any) -> Any:
            try:
                return ask_blocking(self._loco, _request(self, model, more), send)
            except LocoRedisError as error:
                raise _Refused(error) from error

        async def acompletion(self, *args: Any, **more: Any) -> Any:
            return await _unwrapped(super().acompletion(*args, **more))

        async def schedule_acompletion(self, *args: Any, **more: Any) -> Any:
            return await _unwrapped(super().schedule_acompletion(*args, **more))

        async def aembedding(self, *args: Any, **more: Any) -> Any:
            return await _unwrapped(super().aembedding(*args, **more))

        def function_with_fallbacks(self, *args: Any, **more: Any) -> Any:
            attempt = more["original_function"]
            if attempt.__name__ in _PLAIN:
                _not_in_its_loop(self._loco)
                more["original_function"] = _in_this_context(attempt)
            try:
                return super().function_with_fallbacks(*args, **more)
            except _Refused as refused:
                raise refused.error from refused.error.__cause__

    Scheduled.__name__, Scheduled.__qualname__ = kind.__name__, kind.__qualname__
    Scheduled.__module__, Scheduled.__doc__ = kind.__module__, kind.__doc__
    return Scheduled


async def _unwrapped(calling: Any) -> Any:
    try:
        return await calling
    except _Refused as refused:
        raise refused.error from refused.error.__cause__


def _in_this_context(function: Callable[..., Any]) -> Callable[..., Any]:
    """The Router runs plain calls in an event loop of its own, in another thread where there is one
    already."""
    context = copy_context()

    @functools.wraps(function)
    def within(*args: Any, **more: Any) -> Any:
        return context.run(function, *args, **more)

    return within


def _not_in_its_loop(conductor: Conductor) -> None:
    """Raises RuntimeError in the loop of the scheduler, which would wait for itself."""

    async def nothing() -> None: ...

    if isinstance(conductor.scheduler, AsyncLOCOScheduler):
        LoopOf(conductor.scheduler).run(nothing())


def _request(router: Any, model: str, more: dict[str, Any]) -> Request:
    """One that may go to any deployment of the group `model`."""
    arguments = {"model": model, **more}
    deployments = router.get_model_list(model_name=model) or []
    names = dict(map(_names, deployments)) or {model: name_of(model)}
    conductor = router._loco
    cheaper = conductor.options.fallback_of(next(iter(names.values())))
    group = None if cheaper is None else _group_with(router, cheaper)

    def use(_: str) -> None:
        arguments["model"] = group

    return Request(conductor, arguments, names, use if group is not None else None)


def _names(deployment: Any) -> tuple[str, str]:
    parameters = deployment["litellm_params"]
    model = str(parameters["model"])
    info = deployment.get("model_info") or {}
    return model, name_of(parameters.get("base_model") or info.get("base_model") or model)


def _group_with(router: Any, model: str) -> str | None:
    """The group of this name, or the first with a deployment of this model."""
    deployments = router.get_model_list() or []
    groups = [d["model_name"] for d in deployments if model in (d["model_name"], _names(d)[1])]
    return model if model in groups else next(iter(groups), None)
