"""Agents of `create_agent` whose model's calls are scheduled, whichever model that is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from loco_redis import _validate as validate
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.schedulers import Given
from loco_redis.adapters.langchain.models import BaseChatModel, scheduled_class, seen_as

try:
    from langchain.agents.middleware import AgentMiddleware
except ModuleNotFoundError as error:  # the extra has langchain-core, which is all that others need
    if (error.name or "").partition(".")[0] != "langchain":
        raise
    raise ModuleNotFoundError(
        "langchain is not installed: pip install 'loco-redis[langchain]' langchain", name=error.name
    ) from error


class SchedulerMiddleware(AgentMiddleware):
    """`create_agent(model, tools, middleware=[SchedulerMiddleware(scheduler)])`: each call of the
    agent's model takes a slot, as by `schedule`.

    It schedules the model that the middleware before it in the list has chosen.
    Calls that other middleware makes by models of its own, such as summaries, it does not see.

    Args and errors: as of `schedule`; the call raises ValueError for a model that is none.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        super().__init__()
        self._conductor = Conductor("langchain", scheduler, **options)
        self._classes: dict[type, type] = {}

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(self._scheduled(request))

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        return await handler(self._scheduled(request))

    def _scheduled(self, request: Any) -> Any:
        model = request.model
        if not isinstance(model, BaseChatModel):
            raise ValueError(f"the agent's model is no chat model: {validate.shown(model)}")
        kind = type(model)
        into = self._classes.get(kind)
        if into is None:
            into = self._classes[kind] = scheduled_class(kind, self._conductor)
        return request.override(model=seen_as(model, into))
