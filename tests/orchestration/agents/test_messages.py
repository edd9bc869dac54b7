"""Messages and replies within one process, on real servers."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

import pytest

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.errors import TaskFailedError, UnknownTaskError
from loco_redis.orchestration.agents import (
    AgentCall,
    AgentSection,
    AsyncAgentScheduler,
    ReplyTimeoutError,
)
from tests.orchestration.agents.configs import NAME, config
from tests.orchestration.agents.conftest import Agents
from tests.orchestration.agents.handling import Gate, echo
from tests.waiting import eventually


@pytest.mark.parametrize(
    "message", ["Hello", "", None, 0, 1.5, True, [1, "a"], {"ä": [None, {"b": 1}]}, "\0\ud800"]
)
async def test_any_json_value_goes_there_and_back(agents: Agents, message: Any) -> None:
    """As it was sent."""
    async with agents(config(), handlers={"echo": echo}) as scheduler:
        assert await scheduler.send_message("echo", message, timeout=10) == message


async def test_it_works_on_each_server(any_agents: Agents) -> None:
    """A round trip, and an error."""

    def fail(message: Any, call: AgentCall) -> None:
        raise ValueError("no")

    made = config(AgentSection(id="bad", max_attempts=1))
    async with any_agents(made, handlers={"echo": echo, "bad": fail}) as scheduler:
        assert await scheduler.send_message("echo", "Hello", timeout=10) == "Hello"
        with pytest.raises(TaskFailedError, match="ValueError: no"):
            await scheduler.send_message("bad", 1, timeout=10)


async def test_it_works_on_a_cluster(cluster_url: str) -> None:
    """A round trip."""
    scheduler = AsyncAgentScheduler(config(), handlers={"echo": echo}, redis=cluster_url)
    async with scheduler:
        assert await scheduler.send_message("echo", "Hello", timeout=10) == "Hello"


async def test_bad_messages_are_refused(agents: Agents) -> None:
    """Before anything is sent: an agent that is not there, no JSON, too much, a bad key."""
    async with agents(config(), handlers={"echo": echo}) as scheduler:
        with pytest.raises(ValueError, match="no agent 'ecko' is configured: did you mean 'echo'"):
            await scheduler.send_message("ecko", 1)
        for message in ({1, 2}, math.nan, b"x"):
            with pytest.raises(ValueError, match="must be a JSON value"):
                await scheduler.send_message("echo", message)
        with pytest.raises(ValueError, match="at most 1048576"):
            await scheduler.send_message("echo", "x" * (1 << 20))
        for options in ({"timeout": -1}, {"weight": 0.5}, {"key": ""}, {"key": "x" * 513}):
            with pytest.raises(ValueError):
                await scheduler.send_message("echo", 1, **options)
        assert agents.dump().tasks == {}


async def test_a_timeout_takes_a_message_back(agents: Agents) -> None:
    """One that nobody has begun with; one that is at work goes on."""
    gate = Gate()
    async with agents(config(lanes=(1, 1)), handlers={"echo": gate}) as scheduler:
        at_work = asyncio.create_task(scheduler.send_message("echo", 1))
        await eventually(lambda: gate.inside == 1)
        with pytest.raises(ReplyTimeoutError, match="no reply of agent 'echo'"):
            await scheduler.send_message("echo", 2, timeout=0.05)
        at_work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await at_work
        assert gate.inside == 1
        waiting = asyncio.create_task(scheduler.send_message("echo", 3))
        await eventually(lambda: len(agents.dump().tasks) == 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: len(agents.dump().tasks) == 1)
        gate.open.set()
        assert await scheduler.send_message("echo", 4, timeout=10) == 4
    assert gate.begun == 2


async def test_a_sender_that_is_cancelled_at_any_moment_leaves_no_message(agents: Agents) -> None:
    """Also while the message is on its way to Redis, or its id on the way back; one with a key
    stays."""
    async with agents(config(), serve=False) as client:
        for turns in range(60):
            sending = asyncio.create_task(client.send_message("echo", turns))
            for _ in range(turns):
                await asyncio.sleep(0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
    assert agents.dump().tasks == {}
    async with agents(config(), serve=False) as client:
        sending = asyncio.create_task(client.send_message("echo", 1, key="k"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sending.cancel()
    assert len(agents.dump().tasks) == 1


async def test_messages_with_one_key_are_handled_once(agents: Agents) -> None:
    """All senders get the one reply, also later; another agent's and another key's do not; after
    a failure it is tried anew."""
    gate, seen = Gate(), Counter[str]()

    async def count(message: Any, call: AgentCall) -> int:
        seen[call.id] += 1
        if message == "fail" and seen[call.id] == 1:
            raise ValueError
        await gate.open.wait()
        return seen.total()

    made = config(AgentSection(id="b"), AgentSection(id="c", max_attempts=1))
    async with agents(made, handlers={"*": count}) as scheduler:
        sending = [
            asyncio.create_task(scheduler.send_message("echo", n, key="k", timeout=10))
            for n in range(5)
        ]
        with pytest.raises(ReplyTimeoutError):
            await scheduler.send_message("echo", 9, key="k", timeout=0.05)
        gate.open.set()
        assert await asyncio.gather(*sending) == [1] * 5
        assert await scheduler.send_message("echo", 0, key="k", timeout=10) == 1
        assert await scheduler.send_message("b", 0, key="k", timeout=10) == 2
        assert await scheduler.send_message("echo", 0, key="k2", timeout=10) == 3
        with pytest.raises(TaskFailedError):
            await scheduler.send_message("c", "fail", key="k", timeout=10)
        assert await scheduler.send_message("c", "fail", key="k", timeout=10) == 5


async def test_a_message_that_an_operator_cancels(agents: Agents) -> None:
    """Its sender is told."""
    async with agents(config(), serve=False) as client:
        sending = asyncio.create_task(client.send_message("echo", 1))
        await eventually(lambda: len(agents.dump().tasks) == 1)
        (task_id,) = agents.dump().tasks
        async with AsyncLOCOScheduler(
            resource=SharedResource(NAME), redis=agents.server.url
        ) as operator:
            await operator.cancel_task(task_id.decode())
        with pytest.raises(UnknownTaskError):
            await asyncio.wait_for(sending, 10)


async def test_it_must_be_started(agents: Agents) -> None:
    """Before that a message is refused; starting twice changes nothing."""
    scheduler = agents(config(), handlers={"echo": echo})
    with pytest.raises(RuntimeError, match="not started"):
        await scheduler.send_message("echo", 1)
    await scheduler.start()
    await scheduler.start()
    assert await scheduler.send_message("echo", 1, timeout=10) == 1
