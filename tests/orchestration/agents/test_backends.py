"""Agents whose messages go to one of several backends, by a router; and the built-in handler."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr

from loco_redis.errors import TaskFailedError
from loco_redis.orchestration.agents import (
    AgentCall,
    AgentSection,
    BackendSection,
    ConnectionPoolSection,
    LoadBalancingSection,
)
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.orchestration.agents.configs import config
from tests.orchestration.agents.conftest import Agents

PATIENT = ConnectionPoolSection(max_connections=7, timeout=10)


@pytest.fixture
def providers() -> Iterator[list[FakeProvider]]:
    """Two."""
    with ExitStack() as stack:
        yield [stack.enter_context(FakeProvider()) for _ in range(2)]


async def test_messages_are_spread_over_the_backends(agents: Agents) -> None:
    """By the strategy; only over those that have the agent's model, or none of their own."""

    async def where(message: Any, call: AgentCall) -> list[str | None]:
        assert call.route is not None
        assert call.route.request_id == call.task_id
        return [call.route.backend.name, call.model]

    made = config(
        AgentSection(id="small", model="s"),
        AgentSection(id="large", model="l"),
        backends=[
            BackendSection(name="a", capacity=5, model="s"),
            BackendSection(name="b", capacity=5, model="s"),
            BackendSection(name="c", capacity=5, model="l"),
            BackendSection(name="any", capacity=5),
        ],
        load_balancing=LoadBalancingSection(strategy="round_robin"),
    )
    async with agents(made, handlers={"*": where}) as scheduler:

        async def found(agent: str) -> Counter[tuple[str, str | None]]:
            replies = [await scheduler.send_message(agent, 1, timeout=10) for _ in range(12)]
            return Counter(map(tuple, replies))

        assert await found("echo") == {
            ("a", "s"): 3,
            ("b", "s"): 3,
            ("c", "l"): 3,
            ("any", None): 3,
        }
        assert set(await found("small")) == {("a", "s"), ("b", "s"), ("any", "s")}
        assert set(await found("large")) == {("c", "l"), ("any", "l")}


async def test_a_chat_needs_no_handler(agents: Agents, providers: list[FakeProvider]) -> None:
    """With `provider` the built-in one asks: OpenAI's way and Anthropic's, with the key, by the
    pool's client; the reply is the text."""
    openai, anthropic = providers
    openai.default, anthropic.default = Reply(text="from o"), Reply(text="from a")
    made = config(
        AgentSection(id="o", model="gpt-5-nano"),
        AgentSection(id="a", model="claude-haiku-4-5"),
        backends=[
            BackendSection(
                name="o",
                capacity=5,
                model="gpt-5-nano",
                provider="openai",
                base_url=openai.openai_url,
                api_key=SecretStr("key-o"),
            ),
            BackendSection(
                name="a",
                capacity=5,
                model="claude-haiku-4-5",
                provider="anthropic",
                base_url=anthropic.anthropic_url,
                api_key=SecretStr("key-a"),
                max_output_tokens=77,
            ),
        ],
        connection_pool=PATIENT,
    )
    async with agents(made, handlers={"echo": lambda message, call: None}) as scheduler:
        assert await scheduler.send_message("o", "Hi", timeout=10) == "from o"
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
        assert await scheduler.send_message("a", turns, timeout=10) == "from a"
        body = {"messages": turns, "temperature": 0.5}
        assert await scheduler.send_message("o", body, timeout=10) == "from o"
    first, second = openai.requests
    assert first.body == {
        "model": "gpt-5-nano",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert second.body == {"model": "gpt-5-nano", **body}
    assert first.headers["authorization"] == "Bearer key-o"
    (asked,) = anthropic.requests
    assert asked.body == {"model": "claude-haiku-4-5", "max_tokens": 77, "messages": turns}
    assert asked.headers["x-api-key"] == "key-a"


async def test_a_broken_backend_is_passed_over(
    agents: Agents, providers: list[FakeProvider]
) -> None:
    """A 500 at one: the next answers, in the same attempt; a 400 is told to the sender."""
    broken, works = providers
    broken.default = Reply(status=500)
    made = config(
        AgentSection(id="a", model="m", max_attempts=1),
        backends=[
            BackendSection(name=name, capacity=5, provider="openai", base_url=provider.openai_url)
            for name, provider in zip(("broken", "works"), providers, strict=True)
        ],
        load_balancing=LoadBalancingSection(strategy="round_robin"),
        connection_pool=PATIENT,
    )
    async with agents(made, handlers={"echo": lambda message, call: None}) as scheduler:
        sending = (scheduler.send_message("a", "Hi", timeout=20) for _ in range(10))
        assert len(await asyncio.gather(*sending)) == 10
        assert len(works.requests) == 10
        works.default = Reply(status=400)
        with pytest.raises(TaskFailedError, match="400"):
            await scheduler.send_message("a", "Hi", timeout=20)
    assert broken.requests
