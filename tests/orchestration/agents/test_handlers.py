"""Who handles an agent's messages, what a handler is given, and what becomes of its errors."""

from __future__ import annotations

from typing import Any

import pytest

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.errors import TaskFailedError
from loco_redis.orchestration.agents import (
    AgentCall,
    AgentSection,
    AsyncAgentScheduler,
    BackoffSection,
)
from tests.orchestration.agents.configs import NAME, config
from tests.orchestration.agents.conftest import Agents
from tests.orchestration.agents.handling import echo

QUICK = BackoffSection(base=0.01, cap=0.01)


async def test_what_a_handler_is_given(agents: Agents) -> None:
    """The agent, its model, the attempt, the message's id, a fencing token; no backend."""
    seen: list[AgentCall] = []

    async def look(message: Any, call: AgentCall) -> str:
        seen.append(call)
        return call.id

    made = config(AgentSection(id="a", model="m", weight=2.0))
    async with agents(made, handlers={"*": look}) as scheduler:
        assert await scheduler.send_message("a", 1, weight=3.0, timeout=10) == "a"
        assert await scheduler.send_message("a", 1, timeout=10) == "a"
    first, second = seen
    assert (first.id, first.model, first.attempt, first.route) == ("a", "m", 1, None)
    assert (first.lease.task.weight, second.lease.task.weight) == (3.0, 2.0)
    assert first.task_id != second.task_id
    assert first.token < second.token
    with pytest.raises(RuntimeError, match="no backends"):
        _ = first.client


async def test_handlers_are_found_by_agent_model_or_for_all(agents: Agents) -> None:
    """The agent's own first, then the configuration's, then the model's, then "*"."""
    here = f"{__name__}:from_file"
    made = config(
        AgentSection(id="own", model="m", handler=here),
        AgentSection(id="file", model="m", handler=here),
        AgentSection(id="model", model="m"),
    )
    handlers = {name: _says(name) for name in ("own", "m", "*")}
    async with agents(made, handlers=handlers) as scheduler:
        replies = [
            await scheduler.send_message(agent, 1, timeout=10)
            for agent in ("own", "file", "model", "echo")
        ]
    assert replies == ["own", "from file", "m", "*"]


def _says(name: str) -> Any:
    return lambda message, call: name


def from_file(message: Any, call: AgentCall) -> str:
    return "from file"


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (None, "agent 'x' has no handler: write `handler: module:function`"),
        ("no_such_module_here:f", "'no_such_module_here:f' of agent 'x' is not there"),
        ("json:no_such", "'json:no_such' of agent 'x' is not there"),
        ("json:__name__", "must be a function, got 'json'"),
    ],
)
async def test_an_agent_without_a_handler_is_named_at_start(
    agents: Agents, handler: str | None, said: str
) -> None:
    """Before anything is sent to Redis; a process that only sends needs none."""
    made = config(AgentSection(id="x", handler=handler))
    scheduler = agents(made, handlers={"echo": echo})
    with pytest.raises(ValueError, match=said):
        await scheduler.start()
    assert agents.server.client.keys("loco:*") == []
    async with agents(made, serve=False):
        pass


async def test_bad_handlers_are_named(agents: Agents) -> None:
    """Of nobody, with a near name; and what cannot be called."""
    with pytest.raises(ValueError, match="handlers name 'ecko': did you mean 'echo'"):
        AsyncAgentScheduler(config(), handlers={"ecko": echo})
    with pytest.raises(ValueError, match="must be callable"):
        AsyncAgentScheduler(config(), handlers={"echo": 1})  # type: ignore[dict-item]


async def test_a_handler_that_raises_is_tried_again(agents: Agents) -> None:
    """Up to `max_attempts`, and the sender gets the reply of the one that went well."""
    attempts: list[int] = []

    def often(message: Any, call: AgentCall) -> str:
        attempts.append(call.attempt)
        if call.attempt < 3:
            raise OSError("not yet")
        return "at last"

    made = config(AgentSection(id="a", backoff=QUICK))
    async with agents(made, handlers={"echo": echo, "a": often}) as scheduler:
        assert await scheduler.send_message("a", 1, timeout=10) == "at last"
    assert attempts == [1, 2, 3]


async def test_a_handler_that_goes_on_raising_is_told_to_the_sender(agents: Agents) -> None:
    """As TaskFailedError with the last reason; so is a reply that is no JSON value, and a task
    that is no message."""

    async def fail(message: Any, call: AgentCall) -> Any:
        if message == "object":
            return object()
        raise LookupError(f"attempt {call.attempt}")

    made = config(AgentSection(id="a", max_attempts=2, backoff=QUICK))
    async with agents(made, handlers={"echo": echo, "a": fail}) as scheduler:
        with pytest.raises(TaskFailedError) as caught:
            await scheduler.send_message("a", 1, timeout=10)
        assert caught.value.reason == "LookupError: attempt 2"
        with pytest.raises(TaskFailedError, match="a result must be a JSON value"):
            await scheduler.send_message("a", "object", timeout=10)
        core = AsyncLOCOScheduler(resource=SharedResource(NAME), redis=agents.server.url)
        async with core:
            task_id = await core.submit_task("echo", payload=b"\xff", max_attempts=1, result_ttl=60)
            with pytest.raises(TaskFailedError, match="no message"):
                await core.result(task_id, timeout=10)
