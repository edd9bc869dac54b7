"""PydanticAI: each request to a model waits for its slot."""

from __future__ import annotations

from typing import Any, Unpack

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.schedulers import Given, async_scheduler
from loco_redis.adapters.pydantic_ai._model import ScheduledModel

_models = need("pydantic_ai.models", "pydantic-ai")


class PydanticAIAdapter:
    """`PydanticAIAdapter(scheduler).model(model)` is a model to be used as before, in agents and
    directly, whose every request waits until its agent's turn has come.

    Args:
        scheduler: whose slots are taken: an AsyncLOCOScheduler, or None: the one that
            `loco_redis.configure` made, which `run_sync` needs, too.
        options: as in CallArguments.

    The agent is that of the context, else the adapter's `agent_id`, else the name of the agent that
    runs.

    Raises:
        ValueError: any of them out of range, or a LOCOScheduler.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        async_scheduler(scheduler)  # a ValueError at once
        self._conductor = Conductor("pydantic-ai", scheduler, **options)

    def __repr__(self) -> str:
        scheduler = self._conductor.scheduler
        return f"<PydanticAIAdapter of {scheduler or 'the configured scheduler'}>"

    def model(self, model: Any) -> ScheduledModel:
        """The same model, scheduled.

        Args:
            model: a Model, or the name of one, such as `openai:gpt-5`.

        Raises:
            ValueError: neither; or `fallback_models` name a cheaper one for it, and no other can be
                made of its kind.
        """
        if not isinstance(model, str | _models.Model):
            raise ValueError(f"model must be a Model or a name, got {validate.shown(model)}")
        return ScheduledModel(model, self._conductor)
