"""The adapter as an object: what it takes, forwards, and says when something is missing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from agents import Agent, Model, ModelProvider, MultiProvider, OpenAIResponsesModel
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from agents.testing import ScriptedModel

from loco_redis import LOCOScheduler, SharedResource
from loco_redis.adapters.openai_agents import OpenAIAgentsAdapter
from loco_redis.errors import ShutdownError

ADVICE = ModelRetryAdvice(suggested=True)


class Inner(ScriptedModel):
    """A model that records what it is asked beside requests."""

    model = "gpt-5"

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Any] = []

    async def close(self) -> None:
        self.done.append("closed")

    async def _cleanup_on_run_end(self, owner: object) -> None:
        self.done.append(owner)

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice:
        return ADVICE


class Models(MultiProvider):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_forwards() -> None:
    """A scheduled model or provider is asked like the one that it is made of."""
    inner, owner = Inner(), object()
    model = OpenAIAgentsAdapter().model(inner)
    assert isinstance(model, Model)
    await model.close()
    await model._cleanup_on_run_end(owner)
    assert inner.done == ["closed", owner]
    assert (model.model, model.remaining_steps) == ("gpt-5", 0)
    assert repr(model) == f"<scheduled {inner!r}>"
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.nothing

    models = Models()
    provider = OpenAIAgentsAdapter().provider(models)
    assert isinstance(provider, ModelProvider)
    await provider.aclose()
    assert models.closed
    assert provider.openai_provider is models.openai_provider
    assert repr(provider) == f"<scheduled {models!r}>"


def test_retry_advice() -> None:
    """It is the model's, but a refusal of the scheduler is not tried again."""
    model = OpenAIAgentsAdapter().model(Inner())

    def advice(error: Exception) -> Any:
        return model.get_retry_advice(ModelRetryAdviceRequest(error=error, attempt=1, stream=False))

    assert advice(OSError()) is ADVICE
    assert advice(ShutdownError("llm")).suggested is False


def test_names_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter itself is the SDK's default provider, scheduled."""
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    model = OpenAIAgentsAdapter().model("gpt-5-nano")
    assert model.model == "gpt-5-nano"
    assert isinstance(model._inner, OpenAIResponsesModel)
    Agent("a", model=model)


def test_bad_arguments() -> None:
    blocking = LOCOScheduler((), SharedResource("llm", 1), redis="redis://127.0.0.1:1")
    adapter = OpenAIAgentsAdapter()
    assert repr(adapter) == "<OpenAIAgentsAdapter of the configured scheduler>"
    cases: list[tuple[Any, str]] = [
        (lambda: OpenAIAgentsAdapter(blocking), "an async client needs an AsyncLOCOScheduler"),
        (lambda: OpenAIAgentsAdapter(weight=-1), "weight"),
        (lambda: adapter.model(3), "model must be a Model or a name, got 3"),
        (lambda: adapter.provider("gpt-5"), "provider must be a ModelProvider, got 'gpt-5'"),
    ]
    for make, says in cases:
        with pytest.raises(ValueError, match=says):
            make()


def test_missing_package() -> None:
    """Without the SDK the module says how to install it."""
    program = "import sys; sys.modules['agents'] = None; import loco_redis.adapters.openai_agents"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.rstrip().endswith(
        "ModuleNotFoundError: agents is not installed: pip install 'loco-redis[openai-agents]'"
    )
