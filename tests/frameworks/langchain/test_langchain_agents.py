"""Agents of `create_agent` and graphs of LangGraph: who calls, and who waits."""

from __future__ import annotations

import asyncio
import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph

import loco_redis
from loco_redis import BudgetExceededError, BudgetPolicy
from loco_redis.adapters.langchain import SchedulerMiddleware, schedule
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.asks import QUESTION
from tests.adapters.async_cases import TEXT
from tests.adapters.settled import reported, settle_down
from tests.frameworks.langchain.langchain_fakes import USAGE, Calling
from tests.frameworks.langchain.langchain_ways import chat_anthropic, chat_openai
from tests.schedulers import Schedulers
from tests.waiting import eventually

ASK: Any = {"messages": [("user", QUESTION)]}
CALL = {"name": "add", "args": {"a": 2, "b": 2}}


class State(TypedDict):
    messages: Annotated[list[Any], operator.add]


def calling(*rounds: int) -> Calling:
    """A model that asks for so many calls of a tool in each round, and then answers."""
    calls = [
        AIMessage("", tool_calls=[{**CALL, "id": f"{round}-{i}"} for i in range(number)])
        for round, number in enumerate(rounds)
    ]
    return Calling(answers=[*calls, AIMessage("done")])


def side_by_side(**nodes: Any) -> Any:
    graph = StateGraph(State)
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    return graph.compile()


@pytest.mark.parametrize("by_middleware", [True, False])
async def test_a_tool_loop_holds_no_slot_while_tools_run(
    by_middleware: bool, schedulers: Schedulers
) -> None:
    """Each call of the model has a slot of its own."""
    scheduler, held = schedulers(), []

    @tool
    def add(a: int, b: int) -> int:
        """Adds."""
        held.append(schedulers.held())
        return a + b

    model, middleware = calling(2, 1), [SchedulerMiddleware(scheduler)]
    if by_middleware:
        agent = create_agent(model, [add], middleware=middleware)
    else:
        agent = create_agent(schedule(model, scheduler), [add])
    answer = await agent.ainvoke(ASK)
    assert answer["messages"][-1].text == "done"
    answer = await asyncio.to_thread(agent.invoke, ASK)
    assert answer["messages"][-1].text == "done"
    assert held == [0] * 6
    assert (await scheduler.snapshot()).granted == 6
    assert await scheduler.metrics.total_actual_tokens() == 6 * USAGE["total_tokens"]


@pytest.mark.parametrize("make", [chat_openai, chat_anthropic])
async def test_middleware_keeps_streams_of_tokens(
    make: Any, provider: FakeProvider, schedulers: Schedulers
) -> None:
    scheduler = schedulers()
    agent = create_agent(make(provider), [], middleware=[SchedulerMiddleware(scheduler)])
    pieces = [piece.text async for piece, _ in agent.astream(ASK, stream_mode="messages")]
    assert "".join(pieces) == TEXT
    assert len(list(filter(None, pieces))) > 1
    plain = await asyncio.to_thread(lambda: list(agent.stream(ASK, stream_mode="messages")))
    assert "".join(piece.text for piece, _ in plain) == TEXT
    await settle_down(schedulers.server, provider)
    assert (await scheduler.snapshot()).granted == 2
    assert await scheduler.metrics.total_actual_tokens() == reported(provider)[0]


async def test_middleware_schedules_the_model_that_is_chosen(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """By middleware before it; retries of middleware before it take a slot each."""
    scheduler = schedulers()
    provider.script(Reply(status=500), Reply())
    before = [ModelRetryMiddleware(max_retries=1, initial_delay=0)]
    middleware = [*before, SchedulerMiddleware(scheduler)]
    agent = create_agent(chat_openai(provider), [], middleware=middleware)
    assert (await agent.ainvoke(ASK))["messages"][-1].text == TEXT
    assert (await scheduler.snapshot()).granted == 2


async def test_each_step_uses_the_models_own_client(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """Also one that the model makes at its first call."""
    model = chat_anthropic(provider)
    agent = create_agent(model, [], middleware=[SchedulerMiddleware(schedulers())])
    assert "_async_client" not in vars(model)
    await agent.ainvoke(ASK)
    client = vars(model)["_async_client"]
    await agent.ainvoke(ASK)
    assert vars(model)["_async_client"] is client
    assert type(model) is ChatAnthropic


async def test_a_cancelled_agent_leaves_nothing(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """In flight, and while it waits."""
    scheduler = schedulers()
    provider.script(Reply(gate=threading.Event()))
    middleware = [SchedulerMiddleware(scheduler)]
    agent = create_agent(chat_openai(provider), [], middleware=middleware)
    calls = [asyncio.create_task(agent.ainvoke(ASK)) for _ in range(2)]
    await eventually(lambda: provider.in_flight == 1 and schedulers.waiting() == 1)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await settle_down(schedulers.server, provider)
    assert (await scheduler.snapshot()).granted == 1


async def test_two_agents_side_by_side(provider: FakeProvider, schedulers: Schedulers) -> None:
    """In one graph, plain and async: they share the slots, and each is charged by its name."""
    scheduler, gate = schedulers(), threading.Event()
    provider.default = Reply(gate=gate)
    model = schedule(chat_openai(provider), scheduler)

    async def critic(state: State) -> State:
        return {"messages": [await model.ainvoke(QUESTION)]}

    def writer(state: State) -> State:
        return {"messages": [model.invoke(QUESTION)]}

    graph = side_by_side(critic=critic, writer=writer)
    await scheduler.snapshot()  # plain calls do not open it
    running = asyncio.create_task(graph.ainvoke(ASK))
    await eventually(lambda: provider.in_flight == 1 and schedulers.waiting() == 1)
    gate.set()
    assert [message.text for message in (await running)["messages"][1:]] == [TEXT] * 2
    assert provider.peak == 1
    each = provider.reported[0].total_tokens
    assert await scheduler.metrics.actual_tokens_by_agent() == {"critic": each, "writer": each}


async def test_who_calls(schedulers: Schedulers) -> None:
    """The context, else `agent_id`, else the agent's name, else the node, else "default"."""
    scheduler = schedulers(3)
    middleware = [SchedulerMiddleware(scheduler)]
    unnamed = create_agent(calling(), [], middleware=middleware)
    named = create_agent(calling(), [], middleware=middleware, name="by name")
    given = [SchedulerMiddleware(scheduler, agent_id="given")]
    other = create_agent(calling(), [], middleware=given, name="not this")
    await unnamed.ainvoke(ASK)
    await other.ainvoke(ASK)
    await side_by_side(node=unnamed, another=named).ainvoke(ASK)
    with loco_redis.agent("of the context"):
        await other.ainvoke(ASK)
        await named.ainvoke(ASK)
    tokens = await scheduler.metrics.actual_tokens_by_agent()
    calls = {agent: number / USAGE["total_tokens"] for agent, number in tokens.items()}
    assert calls == {"default": 1, "given": 1, "node": 1, "by name": 1, "of the context": 2}


async def test_a_refusal_comes_out_of_the_graph(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    scheduler = schedulers(budget=BudgetPolicy(default_limit=0))
    middleware = [SchedulerMiddleware(scheduler)]
    agent = create_agent(chat_openai(provider), [], middleware=middleware)
    for call in (agent.ainvoke(ASK), asyncio.to_thread(agent.invoke, ASK)):
        with pytest.raises(BudgetExceededError):
            await call
    assert provider.requests == []


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="scheduler must be"):
        SchedulerMiddleware("llm")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weight"):
        SchedulerMiddleware(weight=-1)
