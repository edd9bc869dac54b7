"""What the scheduler agent does: submit a durable task, show the status, hold a slot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from a2a.helpers.proto_helpers import new_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import Message
from a2a.utils.errors import InternalError, InvalidParamsError
from google.protobuf.json_format import MessageToDict

from loco_redis import _validate as validate
from loco_redis.adapters.a2a._events import data_part, refuse
from loco_redis.adapters.a2a._extension import EXTENSION_URI, A2AScheduling
from loco_redis.adapters.a2a._slots import Order, TaskSlots, timeout_of
from loco_redis.errors import LeaseLostError, LocoRedisError
from loco_redis.lease import Lease
from loco_redis.snapshots import Snapshot

_WHO = ("agent", "weight", "slo")
_SUBMIT = ("payload", "delay", "deadline", "max_attempts", "dedup_key", "result_ttl")
_HOLD = ("seconds", "timeout")
_FIELDS = {"submit": (*_WHO, *_SUBMIT), "status": ("limit",), "acquire": (*_WHO, *_HOLD)}
_DEFAULT_HOLD = 60.0  # seconds
_MOST_SHOWN, _SHOWN = 1000, 100

_NUMBERS = ("tick", "alpha", "capacity", "effective_capacity", "held", "waiting", "durable_tasks")
_PRIVATE = ("session", "request_id")  # with them an operator takes things away


class Skills(AgentExecutor):
    """A request is a data part, or a text part with the same as JSON:
    `{"skill": "acquire", "agent": "analyst", "seconds": 30}`."""

    def __init__(self, slots: TaskSlots, max_hold: float) -> None:
        self._slots, self._max_hold = slots, max_hold
        self._holding: set[asyncio.Task[None]] = set()  # or waiting to

    async def aclose(self) -> None:
        """End what holds or waits. The first releases of the SDK leave that undone."""
        for task in self._holding:
            task.cancel()
        await asyncio.gather(*self._holding, return_exceptions=True)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        try:
            skill, said = request_of(context.message)
            if skill == "status":
                limit = validate.count("limit", _whole(said.get("limit", _SHOWN)), 0, _MOST_SHOWN)
                seen = await self._slots.scheduler().snapshot(limit)
                await _reply(context, event_queue, shown(seen))
            elif skill == "submit":
                await _reply(context, event_queue, await self._submit(context, said))
            else:
                order, seconds = self._hold_asked(context, said)
                await self._hold(context, event_queue, order, seconds)
        except LocoRedisError as error:
            await refuse(context, event_queue, error)
        except ValueError as error:
            raise InvalidParamsError(str(error)) from error

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """The SDK cancels `execute`, which frees the slot or leaves the queue."""
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def _submit(self, context: RequestContext, said: dict[str, Any]) -> dict[str, Any]:
        order = self._order(context, said)
        options = {name: said[name] for name in _SUBMIT if said.get(name) is not None}
        if "max_attempts" in options:
            options["max_attempts"] = _whole(options["max_attempts"])
        if "payload" in options:
            payload = options["payload"]
            text = payload if isinstance(payload, str) else json.dumps(payload)
            options["payload"] = text.encode()
        scheduler = self._slots.scheduler()
        task_id = await scheduler.submit_task(order.agent_id, order.task, **options)
        return {"task_id": task_id, "agent": order.agent_id, "resource": scheduler.name}

    def _hold_asked(self, context: RequestContext, said: dict[str, Any]) -> tuple[Order, float]:
        order = self._order(context, said)
        order = replace(order, timeout=timeout_of(said.get("timeout"), order.timeout))
        default = min(_DEFAULT_HOLD, self._max_hold)
        seconds = validate.seconds("seconds", said.get("seconds", default), 0, self._max_hold)
        return order, seconds

    async def _hold(
        self, context: RequestContext, queue: EventQueue, order: Order, seconds: float
    ) -> None:
        updater = TaskUpdater(queue, context.task_id, context.context_id)

        async def hold(_: EventQueue, lease: Lease) -> None:
            held = {"resource": lease.name, "slot": lease.slot, "token": lease.token}
            held |= {"agent": lease.agent_id, "seconds": seconds}
            await updater.start_work(updater.new_agent_message([data_part(held)]))
            await asyncio.sleep(seconds)

        task = asyncio.current_task()
        assert task is not None
        self._holding.add(task)
        try:
            has_held = await self._slots.run(context, queue, order, hold)
        except LeaseLostError as error:
            raise InternalError(str(error)) from error
        finally:
            self._holding.discard(task)
        if has_held:
            await updater.complete()

    def _order(self, context: RequestContext, said: dict[str, Any]) -> Order:
        """What the request itself says goes before what the extension's metadata say."""
        by_extension = A2AScheduling.of(context.metadata).metadata[EXTENSION_URI]
        here = {name: said[name] for name in _WHO if said.get(name) is not None}
        asked = A2AScheduling.of({EXTENSION_URI: by_extension | here})
        return self._slots.order(context, asked)


def request_of(message: Message) -> tuple[str, dict[str, Any]]:
    """The skill that a message asks for, and with what. Raises ValueError."""
    said: Any = next((_read(part) for part in message.parts), None)
    said = {"skill": said} if isinstance(said, str) else said
    skill = said.pop("skill", None) if isinstance(said, dict) else None
    if skill not in _FIELDS:
        raise ValueError(
            "the first part must be an object (data, or JSON as text) such as "
            f"{{'skill': 'status'}}, with a skill out of {', '.join(_FIELDS)}, "
            f"got {validate.shown(said if skill is None else skill)}"
        )
    if unknown := said.keys() - {*_FIELDS[skill]}:
        fields = ", ".join(_FIELDS[skill])
        raise ValueError(f"{skill} has no {validate.shown(min(unknown))}: it has {fields}")
    return skill, said


def _read(part: Any) -> Any:
    if part.HasField("data"):
        return MessageToDict(part.data)
    try:
        return json.loads(part.text)
    except (ValueError, RecursionError):
        return part.text.strip()


def shown(snapshot: Snapshot) -> dict[str, Any]:
    """The status as JSON: the numbers, and who has, waits and ranks how."""
    said: dict[str, Any] = {name: getattr(snapshot, name) for name in _NUMBERS}
    said["resource"] = snapshot.name
    for name in ("agents", "holders", "waiters"):
        rows = [asdict(row) for row in getattr(snapshot, name)]
        said[name] = [{k: v for k, v in row.items() if k not in _PRIVATE} for row in rows]
    return said


def _whole(value: Any) -> Any:
    """JSON over protobuf knows only one kind of numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


async def _reply(context: RequestContext, queue: EventQueue, data: Mapping[str, Any]) -> None:
    ids = {"task_id": context.task_id, "context_id": context.context_id}
    await queue.enqueue_event(new_message([data_part(data)], **ids))
