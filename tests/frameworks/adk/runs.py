"""Runs of agents, with a model that the fake provider answers or one that does as a test says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.models import Gemini as GeminiModel
from google.adk.runners import InMemoryRunner
from google.genai import types

from tests.adapters.asks import Gemini

USED = types.GenerateContentResponseUsageMetadata(
    prompt_token_count=40, candidates_token_count=8, total_token_count=48
)


def gemini(**more: Any) -> GeminiModel:
    """It finds the fake provider by the environment."""
    return GeminiModel(model=Gemini.model, **more)


def content(*parts: types.Part, role: str = "model") -> types.Content:
    return types.Content(role=role, parts=list(parts))


def said(text: str, **more: Any) -> LlmResponse:
    return LlmResponse(content=content(types.Part(text=text)), usage_metadata=USED, **more)


def calling(name: str, **arguments: Any) -> LlmResponse:
    """The model wants this tool to be called."""
    part = types.Part(function_call=types.FunctionCall(name=name, args=arguments))
    return LlmResponse(content=content(part), usage_metadata=USED)


def asked(text: str = "Hi", model: str | None = Gemini.model) -> LlmRequest:
    return LlmRequest(model=model, contents=[content(types.Part(text=text), role="user")])


class Scripted(BaseLlm):
    """Gives these answers, one for each call; an exception is raised where it stands."""

    model: str = "scripted"
    answers: list[list[Any]]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        for answer in self.answers.pop(0):
            if isinstance(answer, Exception):
                raise answer
            yield answer


async def events(
    agent: Any, *, streamed: bool = False, plugins: tuple[Any, ...] = ()
) -> AsyncIterator[Any]:
    """Of a run of this agent, asked to say something."""
    runner = InMemoryRunner(agent=agent, app_name="app", plugins=list(plugins))
    session = await runner.session_service.create_session(app_name="app", user_id="user")
    mode = StreamingMode.SSE if streamed else StreamingMode.NONE
    run = runner.run_async(
        user_id="user",
        session_id=session.id,
        new_message=content(types.Part(text="Say something."), role="user"),
        run_config=RunConfig(streaming_mode=mode),
    )
    try:
        async for event in run:
            yield event
    finally:
        await run.aclose()


async def run(agent: Any, **more: Any) -> list[str]:
    """What its whole answers say."""
    return [
        part.text
        async for event in events(agent, **more)
        if event.content and not event.partial
        for part in event.content.parts
        if part.text
    ]
