"""AutoGen 0.7: each request to a model waits for its slot.

Retries of a provider's SDK are made below the client, in the slot of the call.
"""

from __future__ import annotations

import inspect
from typing import Any, Unpack

from pydantic import BaseModel

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.scheduled import Scheduled
from loco_redis.adapters._calls.schedulers import Given, async_scheduler
from loco_redis.adapters._calls.streams import AsyncStream
from loco_redis.adapters.autogen._calls import ClientStream, call_of, linked, read_whole
from loco_redis.errors import ReentrantAcquireError
from loco_redis.lease import held_here

_core = need("autogen_core", "autogen")
_models = need("autogen_core.models", "autogen")
_Base: Any = _models.ChatCompletionClient
_Component: Any = _core.Component


class ClientConfig(BaseModel):
    """What `dump_component` keeps of a scheduled client: all but the scheduler and the prices."""

    client: dict[str, Any]
    agent_id: str
    timeout: float | None = None
    fallback_models: dict[str, str] = {}
    weight: float | None = None


class ScheduledClient(Scheduled, _Base, _Component[ClientConfig]):  # type: ignore[misc]
    """Waits for a slot for each request. What else it is asked for is the inner client's.

    Loaded from a dumped component it goes through the scheduler that `loco_redis.configure` made.
    """

    component_type = "model"
    component_provider_override = "loco_redis.adapters.autogen.ScheduledClient"
    component_config_schema = ClientConfig

    def __init__(self, inner: Any, conductor: Conductor) -> None:
        self._inner, self._conductor = inner, conductor

    async def create(self, messages: Any, *, cancellation_token: Any = None, **more: Any) -> Any:
        call, turned = call_of(self._conductor, self._inner, messages, more)

        async def send() -> Any:
            token = cancellation_token
            return await self._inner.create(messages, cancellation_token=token, **turned())

        asking = self._conductor.ask(call, send, lambda result: read_whole(call, result))
        return await linked(asking, cancellation_token)

    def create_stream(
        self, messages: Any, *, cancellation_token: Any = None, **more: Any
    ) -> AsyncStream[Any]:
        if self._may_ask_usage(more):  # chat completions do not tell unless asked
            more["include_usage"] = True
        call, turned = call_of(self._conductor, self._inner, messages, more)

        def open(token: Any) -> Any:
            return self._inner.create_stream(messages, cancellation_token=token, **turned())

        return ClientStream(self._conductor, call, open, cancellation_token)

    def _may_ask_usage(self, more: dict[str, Any]) -> bool:
        """Whether the client can be asked for it, and neither it nor the caller says otherwise."""
        if "include_usage" not in inspect.signature(self._inner.create_stream).parameters:
            return False
        own = getattr(self._inner, "_create_args", {})
        arguments = {**own, **more.get("extra_create_args", {})}
        return more.get("include_usage") is None and "stream_options" not in arguments

    async def close(self) -> None:
        await self._inner.close()

    def actual_usage(self) -> Any:
        return self._inner.actual_usage()

    def total_usage(self) -> Any:
        return self._inner.total_usage()

    def count_tokens(self, messages: Any, **more: Any) -> int:
        return int(self._inner.count_tokens(messages, **more))

    def remaining_tokens(self, messages: Any, **more: Any) -> int:
        return int(self._inner.remaining_tokens(messages, **more))

    @property
    def capabilities(self) -> Any:
        return self._inner.capabilities

    @property
    def model_info(self) -> Any:
        return self._inner.model_info

    def _to_config(self) -> ClientConfig:
        options = self._conductor.options
        return ClientConfig(
            client=self._inner.dump_component().model_dump(),
            agent_id=options.agent_id,
            timeout=options.timeout,
            fallback_models=dict(options.fallback_models),
            weight=options.weight,
        )

    @classmethod
    def _from_config(cls, config: ClientConfig) -> Any:
        options: Any = config.model_dump(exclude={"client"})
        return AutoGenAdapter(**options).client(_Base.load_component(config.client))


class AutoGenAdapter:
    """`AutoGenAdapter(scheduler).client(client)` is a ChatCompletionClient to be used as before,
    whose every request waits until its agent's turn has come.

    Args:
        scheduler: whose slots are taken: an AsyncLOCOScheduler, or None: the one that
            `loco_redis.configure` made.
        options: as in CallArguments.

    The agent is that of the context, else the `agent_id` of the client or the adapter, else the
    type of the AutoGen agent that handles a message.

    Raises:
        ValueError: any of them out of range, or a LOCOScheduler.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        self._scheduler = async_scheduler(scheduler)  # a ValueError at once
        self._conductor = Conductor("autogen", scheduler, **options)

    def __repr__(self) -> str:
        return f"<AutoGenAdapter of {self._conductor.scheduler or 'the configured scheduler'}>"

    def client(self, client: Any, agent_id: str | None = None) -> ScheduledClient:
        """The same client, scheduled.

        Args:
            agent_id: whose calls it makes; None: as the adapter says.

        Raises:
            ValueError: not a ChatCompletionClient, or no name of an agent.
        """
        if not isinstance(client, _Base):
            raise ValueError(f"client must be a ChatCompletionClient, got {validate.shown(client)}")
        conductor = self._conductor
        if agent_id is not None:
            options: CallArguments = {**conductor.options.arguments(), "agent_id": agent_id}
            conductor = Conductor("autogen", conductor.scheduler, **options)
        return ScheduledClient(client, conductor)

    async def send_message(self, runtime: Any, message: Any, recipient: Any, **more: Any) -> Any:
        """Deliver a message, and wait for its answer.

        It takes no slot: the models that its handlers call do.

        Args:
            runtime: an AgentRuntime, started outside of any slot.
            recipient: an AgentId, or an agent's type for its "default" one.
            more: as `runtime.send_message` takes.

        Raises:
            ReentrantAcquireError: the program holds a slot here, for which the handlers, which run
                in tasks of their own, may wait for ever.
            Exception: what the handler raises, and what `runtime.send_message` does.
        """
        await self._holds_none()
        to = _core.AgentId(recipient, "default") if isinstance(recipient, str) else recipient
        return await runtime.send_message(message, to, **more)

    async def publish_message(self, runtime: Any, message: Any, topic: Any, **more: Any) -> None:
        """Hand a message over to all who subscribe to a topic; nobody waits for them.

        Args:
            topic: a TopicId, or a topic's type for its "default" source.
            more: as `runtime.publish_message` takes.
        """
        to = _core.TopicId(topic, "default") if isinstance(topic, str) else topic
        await runtime.publish_message(message, to, **more)

    async def _holds_none(self) -> None:
        session = await self._scheduler()._use()
        if held_here(session) is not None:
            raise ReentrantAcquireError(session.name)
