"""The serving half of a process: lanes, stopping, what is passed on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from loco_redis import Agent
from loco_redis._scripts import Scripts
from loco_redis.errors import ShutdownError
from loco_redis.orchestration.agents import (
    AgentCall,
    AgentSection,
)
from tests.orchestration.agents.configs import NAME, config
from tests.orchestration.agents.conftest import Agents
from tests.orchestration.agents.handling import Gate, echo
from tests.proxy import proxied
from tests.waiting import eventually


async def test_many_messages_at_once(agents: Agents) -> None:
    """500 messages to five agents: each gets its own reply, and no more are at work than lanes."""
    inside, peak = 0, 0

    async def handle(message: int, call: AgentCall) -> list[Any]:
        nonlocal inside, peak
        inside += 1
        peak = max(peak, inside)
        await asyncio.sleep(0)
        inside -= 1
        return [call.id, message]

    names = [f"agent-{n}" for n in range(5)]
    made = config(*(AgentSection(id=name) for name in names), lanes=(2, 8))
    async with agents(made, handlers={"*": handle}) as scheduler:
        sent = [(names[n % 5], n) for n in range(500)]
        replies = await asyncio.gather(*(scheduler.send_message(*each) for each in sent))
    assert replies == [[name, n] for name, n in sent]
    assert 1 <= peak <= 8


async def test_an_agent_has_no_more_at_work_than_it_may(agents: Agents) -> None:
    """`max_concurrency` holds over all processes; other agents use the rest."""
    gates = {"echo": Gate(), "one": Gate()}
    gates["echo"].open.set()
    made = config(AgentSection(id="one", max_concurrency=1), lanes=(4, 4))
    first, second = (agents(made, handlers=gates) for _ in range(2))
    async with first, second:
        sending = [asyncio.create_task(first.send_message("one", n)) for n in range(6)]
        await eventually(lambda: gates["one"].inside == 1)
        assert await second.send_message("echo", 1, timeout=10) == 1
        gates["one"].open.set()
        assert await asyncio.gather(*sending) == [*range(6)]
    assert gates["one"].peak == 1


async def test_lanes_follow_the_backlog(agents: Agents) -> None:
    """From min to max while messages wait, and back when they are done; all of it seen in repr."""
    gate = Gate()
    made = config(lanes=(2, 6))
    scaling = made.scaling.model_copy(update={"cooldown": 0.3})
    made = made.model_copy(update={"scaling": scaling})
    async with agents(made, handlers={"echo": gate}) as scheduler:
        await eventually(lambda: "Lanes 2 of 2, 0 busy" in repr(scheduler))
        sending = [asyncio.create_task(scheduler.send_message("echo", n)) for n in range(20)]
        await eventually(lambda: gate.inside == 6)
        assert "Lanes 6 of 6, 6 busy" in repr(scheduler)
        gate.open.set()
        assert await asyncio.gather(*sending) == [*range(20)]
        await eventually(lambda: "Lanes 2 of 2, 0 busy" in repr(scheduler))
        assert await scheduler.send_message("echo", 1, timeout=10) == 1
    assert gate.peak == 6
    assert "stopped" in repr(scheduler)


async def test_stop_drains(agents: Agents) -> None:
    """Messages at work end and their senders here get the replies; one that waits is taken back,
    its sender gets ShutdownError; so do later ones."""
    gate = Gate()
    scheduler = agents(config(lanes=(2, 2)), handlers={"echo": gate})
    await scheduler.start()
    sending = [asyncio.create_task(scheduler.send_message("echo", n)) for n in range(3)]
    await eventually(lambda: gate.inside == 2 and len(agents.dump().tasks) == 3)
    stopping = asyncio.create_task(scheduler.stop())
    await eventually(
        lambda: scheduler._serving_half is not None and scheduler._serving_half.lanes.draining
    )
    gate.open.set()
    await stopping
    replies = await asyncio.gather(*sending, return_exceptions=True)
    assert sorted(map(type, replies), key=str) == [int, int, ShutdownError]
    assert gate.begun == 2
    assert agents.dump().tasks == {}
    with pytest.raises(ShutdownError):
        await scheduler.send_message("echo", 1)
    with pytest.raises(ShutdownError):
        await scheduler.start()
    await scheduler.stop()


async def test_stop_waits_until_replies_have_been_heard_of(agents: Agents) -> None:
    """Hints of replies are lost: a sender gets its reply all the same, before all is closed."""
    gate = Gate()
    async with proxied(agents.server) as proxy:
        proxy.mute = b"SUBSCRIBE"
        scheduler = agents(config(), handlers={"echo": gate}, redis=proxy.url)
        await scheduler.start()
        sending = asyncio.create_task(scheduler.send_message("echo", "x"))
        await eventually(lambda: gate.inside == 1)
        gate.open.set()
        await scheduler.stop()
        assert await sending == "x"


async def test_what_does_not_end_in_time_goes_to_another_process(agents: Agents) -> None:
    """After `grace` a handler is cancelled; its message is handled elsewhere, as its first
    attempt."""
    gate = Gate()
    leaving = agents(config(), handlers={"echo": gate})
    client = agents(config(), serve=False)
    await leaving.start()
    async with client:
        sending = asyncio.create_task(client.send_message("echo", "x"))
        await eventually(lambda: gate.inside == 1)
        await leaving.stop(grace=0)
        assert gate.inside == 0
        attempts: list[int] = []

        async def handle(message: Any, call: AgentCall) -> Any:
            attempts.append(call.attempt)
            return message

        async with agents(config(), handlers={"echo": handle}):
            assert await asyncio.wait_for(sending, 10) == "x"
        assert attempts == [1]


async def test_sync_handlers_run_side_by_side(agents: Agents) -> None:
    """In threads: four that wait for each other all get there."""
    barrier = threading.Barrier(4, timeout=10)

    def meet(message: Any, call: AgentCall) -> str:
        barrier.wait()
        return threading.current_thread().name

    async with agents(config(lanes=(4, 4)), handlers={"echo": meet}) as scheduler:
        sending = (scheduler.send_message("echo", n, timeout=20) for n in range(4))
        assert len({*await asyncio.gather(*sending)}) == 4


async def test_a_message_to_an_agent_that_is_unknown_here_waits_for_another(
    agents: Agents,
) -> None:
    """While configurations are rolled out a process puts back what it does not know."""
    old = agents(config(), handlers={"echo": echo})
    new = agents(config(AgentSection(id="new")), handlers={"*": echo})
    async with old, agents(config(AgentSection(id="new")), serve=False) as client:
        sending = asyncio.create_task(client.send_message("new", 1))
        await eventually(lambda: len(agents.dump().tasks) == 1)
        async with new:
            assert await asyncio.wait_for(sending, 20) == 1


async def test_serving_goes_on_after_an_outage(
    agents: Agents, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis does not answer for longer than `backend_timeout`: lanes wait, then serve again."""
    made = config(lanes=(2, 2))
    redis = made.redis.model_copy(update={"backend_timeout": 0.3})
    made = made.model_copy(update={"redis": redis})
    gate = Gate()
    async with proxied(agents.server) as proxy, agents(config(), serve=False) as client:
        async with agents(made, handlers={"echo": gate}, redis=proxy.url):
            sending = asyncio.create_task(client.send_message("echo", 1, timeout=60))
            await eventually(lambda: gate.inside == 1)
            proxy.silent = True
            gate.open.set()  # its lane will want the next message
            await eventually(lambda: "serving 'agents' pauses" in caplog.text, 30)
            proxy.silent = False
            proxy.cut()
            assert await sending == 1
            assert await client.send_message("echo", 2, timeout=30) == 2


async def test_serving_that_has_ended_is_told(
    agents: Agents, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged when it happens, and raised by stop."""
    scheduler = agents(config(), handlers={"echo": echo})
    told = asyncio.Event()
    await scheduler.start()
    scheduler.when_ended(told.set)
    assert scheduler._core is not None
    await scheduler._core.aclose()
    await asyncio.wait_for(told.wait(), 10)
    assert "serves no more" in caplog.text
    with pytest.raises(ShutdownError):
        await scheduler.stop()


async def test_a_task_that_cannot_be_read_stops_nobody(
    agents: Agents, caplog: pytest.LogCaptureFixture
) -> None:
    """One that a newer version has written: a warning, and others are served."""
    async with agents(config(), serve=False) as client:
        core = client._core
        assert core is not None
        await core.register_agent(Agent("other"))
        odd = await core.submit_task("echo", payload=b"1")
        keys = Scripts(NAME).keys
        agents.server.client.hset(keys.bodies, odd, b"9")
        async with agents(config(), handlers={"echo": echo}):
            await eventually(lambda: "newer version" in caplog.text)
            await core.cancel_task(odd)
            assert await client.send_message("echo", 2, timeout=20) == 2
