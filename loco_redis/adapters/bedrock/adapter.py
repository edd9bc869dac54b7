"""Calls of AWS Bedrock's runtime: Converse and invoked models, whole and streamed, by clients of
boto3 and of aiobotocore."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Mapping
from typing import Any, Unpack

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.adapter import Adapter, is_async, wrong_client
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.schedulers import Given, async_scheduler
from loco_redis.adapters.bedrock._clients import CONVERSE, INVOKE, AsyncClient, Client, Operation
from loco_redis.context import agent
from loco_redis.scheduler import AsyncLOCOScheduler

_SERVICE = "bedrock-runtime"


class BedrockAdapter(Adapter):
    """`BedrockAdapter(scheduler).wrap(boto3.client("bedrock-runtime"))` is a client to be used as
    before, whose `converse`, `converse_stream`, `invoke_model` and
    `invoke_model_with_response_stream` wait until their agent's turn has come. A client of
    aiobotocore is awaited as before; one of boto3 belongs into threads where its scheduler is that
    of an event loop.

    Args:
        scheduler: an AsyncLOCOScheduler, a LOCOScheduler (for boto3), or None: the one that
            `loco_redis.configure` made.
        client: for `client` and the methods here; None: one of boto3, made from the environment.
        models: model id -> the model's name, for the weight, the price and the figures of ids that
            tell none: application inference profiles, provisioned throughput, imported models.
        options: as in CallArguments.

    A call raises what `acquire` raises, before any request leaves, and else what the SDK raises.

    Raises:
        ValueError: any of them out of range.
        ModuleNotFoundError: `client`, where the SDK is not installed.
    """

    def __init__(
        self,
        scheduler: Given = None,
        client: Any = None,
        *,
        models: Mapping[str, str] | None = None,
        **options: Unpack[CallArguments],
    ) -> None:
        self._models = dict(models or {})
        for pair in self._models.items():
            if not all(isinstance(name, str) and name for name in pair):
                raise ValueError(
                    "models must name the models of ids, such as "
                    "{'arn:aws:bedrock:...:application-inference-profile/abc': 'claude-opus-5'}, "
                    f"got {validate.shown(pair[0])}: {validate.shown(pair[1])}"
                )
        super().__init__(scheduler, client, **options)

    def invoke(self, agent_id: str, *, model_id: str, body: Any, **arguments: Any) -> Any:
        """`client.invoke_model(...)` for an agent; a `body` that is a mapping is sent as JSON.

        With a client of aiobotocore or an AsyncLOCOScheduler it is awaited. One of boto3 is then
        called in a thread; cancelling does not end that, so the slot is held until it comes back.
        """
        if isinstance(body, Mapping):
            body = json.dumps(dict(body))
        return self._for_agent(agent_id, INVOKE, {"modelId": model_id, "body": body, **arguments})

    def converse(self, agent_id: str, *, model_id: str, **arguments: Any) -> Any:
        """`client.converse(...)` for an agent, the same."""
        return self._for_agent(agent_id, CONVERSE, {"modelId": model_id, **arguments})

    def _for_agent(self, agent_id: str, operation: Operation, arguments: dict[str, Any]) -> Any:
        caller, client = agent(agent_id), self.client
        if type(client) is AsyncClient:
            return _within(caller, getattr(client, operation.name)(**arguments))
        if isinstance(self._scheduler, AsyncLOCOScheduler):
            return _within(caller, client.in_thread(operation, arguments))
        with caller:
            return getattr(client, operation.name)(**arguments)

    def _wrapped(self, client: Any) -> Any:
        meta = getattr(client, "meta", None)
        service = getattr(getattr(meta, "service_model", None), "service_name", None)
        if service != _SERVICE:
            raise wrong_client(client, f"a client of boto3 or aiobotocore for {_SERVICE!r}")
        conductor = Conductor("bedrock", self._scheduler, **self._options.arguments())
        if not is_async(client):
            return Client(client, conductor, self._models)
        async_scheduler(self._scheduler)  # a ValueError at once
        return AsyncClient(client, conductor, self._models)

    def _made(self, blocking: bool) -> Any:
        return need("boto3", "bedrock").client(_SERVICE)


async def _within(caller: agent, asking: Coroutine[Any, Any, Any]) -> Any:
    with caller:
        return await asking
