"""The OpenAI Agents SDK: each request to a model waits for its slot.

Retries of the runner (`ModelSettings.retry`) are made above the model, so each attempt has its own
slot; those of the OpenAI client are made below it, in the slot.
"""

from __future__ import annotations

from typing import Any, Unpack

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.scheduled import Scheduled
from loco_redis.adapters._calls.schedulers import Given, async_scheduler
from loco_redis.adapters.openai_agents._model import ScheduledModel, copies

_agents = need("agents", "openai-agents")
_Base: Any = _agents.ModelProvider


class ScheduledProvider(Scheduled, _Base):
    """Its models are scheduled. What else it is asked for is the inner provider's."""

    def __init__(self, inner: Any, conductor: Conductor) -> None:
        self._inner, self._conductor = inner, conductor

    def get_model(self, model_name: str | None) -> Any:
        model = self._inner.get_model(model_name)
        return ScheduledModel(model, self._conductor, self._inner.get_model)

    async def aclose(self) -> None:
        await self._inner.aclose()


class OpenAIAgentsAdapter(ScheduledProvider):
    """A model provider, for `RunConfig(model_provider=adapter)`: the SDK's default one
    (`MultiProvider`), its models scheduled.

    Args:
        scheduler: whose slots are taken: an AsyncLOCOScheduler, or None: the one that
            `loco_redis.configure` made, which `Runner.run_sync` needs, too.
        options: as in CallArguments.

    The agent is that of the context, else the adapter's `agent_id`, else the SDK's agent's name.

    Raises:
        ValueError: any of them out of range, or a LOCOScheduler.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        async_scheduler(scheduler)  # a ValueError at once
        super().__init__(_agents.MultiProvider(), Conductor("openai-agents", scheduler, **options))

    def __repr__(self) -> str:
        scheduler = self._conductor.scheduler
        return f"<OpenAIAgentsAdapter of {scheduler or 'the configured scheduler'}>"

    def provider(self, provider: Any) -> Any:
        """The same provider, its models scheduled.

        Raises:
            ValueError: not a ModelProvider.
        """
        if not isinstance(provider, _agents.ModelProvider):
            raise ValueError(f"provider must be a ModelProvider, got {validate.shown(provider)}")
        return ScheduledProvider(provider, self._conductor)

    def model(self, model: Any) -> Any:
        """The same model, scheduled: for agents that are given a Model, which no provider sees.

        Args:
            model: a Model, or the name of one.

        Raises:
            ValueError: neither.
        """
        if isinstance(model, str):
            return self.get_model(model)
        if not isinstance(model, _agents.Model):
            raise ValueError(f"model must be a Model or a name, got {validate.shown(model)}")
        return ScheduledModel(model, self._conductor, copies(model))
