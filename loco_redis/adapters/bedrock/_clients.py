"""Clients of AWS Bedrock whose calls of models are scheduled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.threads import ask_in_thread
from loco_redis.adapters.bedrock._answers import (
    AsyncEvents,
    AsyncOpened,
    Events,
    Opened,
    Standing,
    async_body_of,
    body_of,
)
from loco_redis.adapters.bedrock._requests import asked_in_body, asked_in_messages, name_of
from loco_redis.adapters.bedrock._usage import (
    Chunks,
    MessageEvents,
    usage_of_answer,
    usage_of_invocation,
)
from loco_redis.adapters.usage import Usage


@dataclass(frozen=True, slots=True)
class Operation:
    """What is called.

    Attributes:
        name: of the client's method.
        answer: where in the response its stream is, or the body to be read.
        asked: finds the prompt and the limit in the arguments.
        reader: of a stream's events.
    """

    name: str
    answer: str
    asked: Callable[[Mapping[str, Any]], tuple[object, int]]
    reader: type[MessageEvents] | type[Chunks]


CONVERSE = Operation("converse", "", asked_in_messages, MessageEvents)
CONVERSE_STREAM = Operation("converse_stream", "stream", asked_in_messages, MessageEvents)
INVOKE = Operation("invoke_model", "body", asked_in_body, Chunks)
INVOKE_STREAM = Operation("invoke_model_with_response_stream", "body", asked_in_body, Chunks)

#: A response, and the bytes of the body in it.
Whole = tuple[dict[str, Any], bytes]


class _Scheduled(Standing):
    """A client. `models` gives the names of model ids that tell none."""

    def __init__(self, client: Any, conductor: Conductor, models: Mapping[str, str]) -> None:
        super().__init__(client)
        self._conductor, self._models = conductor, models

    def _call(self, operation: Operation, arguments: dict[str, Any]) -> ModelCall:
        model_id = str(arguments.get("modelId") or "")
        prompt, limit = operation.asked(arguments)

        def use(cheaper: str) -> None:
            arguments["modelId"] = cheaper

        model = self._models.get(model_id) or name_of(model_id)
        return self._conductor.call(model, prompt, limit or None, use=use)

    def _send(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        return getattr(self._stood_for, operation.name)(**arguments)


class Client(_Scheduled):
    """One of boto3."""

    def converse(self, **arguments: Any) -> Any:
        return self._ask(CONVERSE, arguments)

    def invoke_model(self, **arguments: Any) -> Any:
        return self._ask(INVOKE, arguments)

    def converse_stream(self, **arguments: Any) -> Any:
        return self._stream(CONVERSE_STREAM, arguments)

    def invoke_model_with_response_stream(self, **arguments: Any) -> Any:
        return self._stream(INVOKE_STREAM, arguments)

    async def in_thread(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        """The whole answer, for an event loop."""
        call = self._call(operation, arguments)
        answer = await ask_in_thread(
            self._conductor, call, lambda: self._whole(operation, arguments), _used
        )
        return answer[0]

    def _ask(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        call = self._call(operation, arguments)
        answer = self._conductor.ask_blocking(
            call, lambda: self._whole(operation, arguments), _used
        )
        return answer[0]

    def _whole(self, operation: Operation, arguments: dict[str, Any]) -> Whole:
        """The body is read here, in the slot: the SDK would leave it on its connection."""
        response = self._send(operation, arguments)
        if not operation.answer:
            return response, b""
        data = response[operation.answer].read()
        return {**response, operation.answer: body_of(data)}, data

    def _stream(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        call, responses = self._call(operation, arguments), []

        def open() -> Opened:
            responses.append(self._send(operation, arguments))
            call.began()
            return Opened(responses[0][operation.answer])

        chunks = self._conductor.stream_blocking(call, open, operation.reader().read).start()
        response = responses[0]  # a dict of its own below, so that no circle keeps what is dropped
        return {**response, operation.answer: Events(response[operation.answer], chunks)}


class AsyncClient(_Scheduled):
    """One of aiobotocore."""

    async def converse(self, **arguments: Any) -> Any:
        return await self._ask(CONVERSE, arguments)

    async def invoke_model(self, **arguments: Any) -> Any:
        return await self._ask(INVOKE, arguments)

    async def converse_stream(self, **arguments: Any) -> Any:
        return await self._stream(CONVERSE_STREAM, arguments)

    async def invoke_model_with_response_stream(self, **arguments: Any) -> Any:
        return await self._stream(INVOKE_STREAM, arguments)

    async def _ask(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        call = self._call(operation, arguments)
        answer = await self._conductor.ask(call, lambda: self._whole(operation, arguments), _used)
        return answer[0]

    async def _whole(self, operation: Operation, arguments: dict[str, Any]) -> Whole:
        """As `Client._whole`."""
        response = await self._send(operation, arguments)
        if not operation.answer:
            return response, b""
        data = await response[operation.answer].read()
        return {**response, operation.answer: async_body_of(data)}, data

    async def _stream(self, operation: Operation, arguments: dict[str, Any]) -> Any:
        call, responses = self._call(operation, arguments), []

        async def open() -> AsyncOpened:
            responses.append(await self._send(operation, arguments))
            call.began()
            return AsyncOpened(responses[0][operation.answer])

        chunks = await self._conductor.stream(call, open, operation.reader().read).start()
        response = responses[0]
        return {**response, operation.answer: AsyncEvents(response[operation.answer], chunks)}


def _used(answer: Whole) -> Usage | None:
    response, body = answer
    return usage_of_invocation(response, body) if body else usage_of_answer(response)
