"""`Runner.run`, the plain one: it has a thread and an event loop of its own."""

from __future__ import annotations

import asyncio

from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.genai import types

import loco_redis
from loco_redis.adapters.adk import ADKAdapter
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.defaults import Defaults, defaults
from tests.frameworks.adk.runs import content, gemini

__all__ = ["defaults"]


def test_a_plain_run(provider: FakeProvider, defaults: Defaults) -> None:
    """The configured scheduler serves each event loop."""
    defaults.configure(1)
    adapter = ADKAdapter()
    question = content(types.Part(text="Say something."), role="user")
    for name in ("first", "second"):  # early releases of ADK 2 keep a model's client over loops
        agent = LlmAgent(name="writer", model=adapter.model(gemini()))
        runner = InMemoryRunner(agent=agent, app_name="app")
        sessions = runner.session_service
        session = asyncio.run(sessions.create_session(app_name="app", user_id=name))
        events = list(runner.run(user_id=name, session_id=session.id, new_message=question))
        texts = [event.content.parts[0].text for event in events if event.content]
        assert texts == [Reply().text]
    assert defaults.released() == 2
    tokens = loco_redis.get_blocking_scheduler().metrics.actual_tokens_by_agent()
    assert tokens == {"writer": sum(billed.total_tokens for billed in provider.reported)}
