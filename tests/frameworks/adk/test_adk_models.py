"""A scheduled model is what it was made of, and waits for its turn."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import httpx
import pytest
from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmRequest
from google.adk.models import Gemini as GeminiModel
from google.adk.models.google_llm import Gemini as OfTheModule
from google.genai import Client, types

from loco_redis import LOCOScheduler, SharedResource
from loco_redis.adapters import AsyncScheduledTransport
from loco_redis.adapters.adk import ADKAdapter
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.asks import Gemini
from tests.frameworks.adk.runs import Scripted, asked, gemini, run, said
from tests.schedulers import Schedulers

TEXT = Reply().text


async def texts(model: Any, request: LlmRequest | None = None) -> list[str]:
    answers = model.generate_content_async(request or asked())
    return [answer.content.parts[0].text async for answer in answers]


async def test_it_is_what_it_was_made_of(schedulers: Schedulers, provider: FakeProvider) -> None:
    """Its class, its fields, what it can; the one given stays as it is, and is not scheduled."""
    scheduler = schedulers()
    plain = gemini(use_interactions_api=False)
    model = ADKAdapter(scheduler).model(plain)
    assert isinstance(model, OfTheModule)
    assert type(model).__name__ == "Gemini"
    assert model.model_dump() == plain.model_dump()
    if hasattr(plain, "capabilities"):  # not in the first releases of ADK 2
        assert model.capabilities == plain.capabilities
    assert type(model).supported_models() == GeminiModel.supported_models()
    assert LlmAgent(name="a", model=model).canonical_model is model
    assert type(plain) is GeminiModel
    assert await texts(plain) == [TEXT]
    assert await texts(model) == [TEXT]
    assert (await scheduler.snapshot()).granted == 1


async def test_copies_of_it(schedulers: Schedulers, provider: FakeProvider) -> None:
    """Copies of a model, and of its agent, are scheduled by the same scheduler."""
    scheduler = schedulers()
    model = ADKAdapter(scheduler).model(gemini())
    for copied in (copy.copy(model), copy.deepcopy(model), model.model_copy(deep=True)):
        assert await texts(copied) == [TEXT]
    agent = LlmAgent(name="a", model=model).clone(update={"name": "b"})
    assert await run(agent) == [TEXT]
    assert (await scheduler.snapshot()).granted == 4


async def test_by_name(schedulers: Schedulers, provider: FakeProvider) -> None:
    """ADK finds the class to a name."""
    model = ADKAdapter(schedulers()).model(Gemini.model)
    assert isinstance(model, GeminiModel)
    assert await texts(model) == [TEXT]
    assert [request.path for request in provider.requests] == [Gemini.path]


async def test_the_name_of_the_request_counts(schedulers: Schedulers) -> None:
    """The model that a request names is that of the task; else the model's own is."""
    scheduler = schedulers()
    model = ADKAdapter(scheduler).model(Scripted(answers=[[said("a")], [said("b")]]))
    await texts(model, asked(model="gemini-2.5-pro"))
    await texts(model, asked(model=None))
    costs = await scheduler.metrics.attribution.cost_by_model()
    assert set(costs) == {"gemini-2.5-pro", "scripted"}


async def test_two_layers(schedulers: Schedulers, provider: FakeProvider) -> None:
    """A model scheduled twice, and one over a scheduled transport, take one slot for a call."""
    scheduler = schedulers()
    adapter = ADKAdapter(scheduler)
    assert await texts(adapter.model(adapter.model(gemini()))) == [TEXT]
    assert (await scheduler.snapshot()).granted == 1
    transport = AsyncScheduledTransport(scheduler, match=lambda request: request.method == "POST")
    async with httpx.AsyncClient(transport=transport) as http:
        options = types.HttpOptions(base_url=provider.gemini_url, httpx_async_client=http)
        client = Client(api_key="any", http_options=options)
        plain = gemini()
        vars(plain)["api_client"] = client  # as ADK keeps it
        assert await texts(plain) == [TEXT]
        assert (await scheduler.snapshot()).granted == 2
        assert await texts(adapter.model(plain)) == [TEXT]
    assert (await scheduler.snapshot()).granted == 3
    tokens = await scheduler.metrics.total_actual_tokens()
    assert tokens == 2 * provider.reported[0].total_tokens  # the transport cannot read Gemini's


async def test_retries_in_the_slot(schedulers: Schedulers, provider: FakeProvider) -> None:
    """Those of google-genai are part of the call."""
    scheduler = schedulers()
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01)
    provider.script(Reply(status=500), Reply(status=503))
    model = ADKAdapter(scheduler).model(gemini(retry_options=retries))
    assert await texts(model) == [TEXT]
    assert len(provider.requests) == 3
    assert (await scheduler.snapshot()).granted == 1


async def test_fallbacks(schedulers: Schedulers, provider: FakeProvider) -> None:
    """ADK's model of several: with each of them scheduled, each try has a slot of its own."""
    models: Any = pytest.importorskip("google.adk.models._fallback_model")
    scheduler = schedulers()
    adapter = ADKAdapter(scheduler)
    first, second = (adapter.model(gemini()) for _ in range(2))
    provider.script(Reply(status=500))
    assert await run(LlmAgent(name="a", model=models.FallbackModel(models=[first, second]))) == [
        TEXT
    ]
    assert (await scheduler.snapshot()).granted == 2


async def test_live_connections_take_no_slot(schedulers: Schedulers) -> None:
    """They are the model's own."""

    class Live(Scripted):
        def connect(self, llm_request: LlmRequest) -> Any:
            return self, llm_request

    scheduler = schedulers()
    model = ADKAdapter(scheduler).model(Live(answers=[]))
    assert model.connect("request") == (model, "request")
    assert (await scheduler.snapshot()).granted == 0


@pytest.mark.parametrize("model", [None, 3, object(), GeminiModel])
def test_what_is_no_model(model: Any) -> None:
    with pytest.raises(ValueError, match="model must be a BaseLlm or a name"):
        ADKAdapter().model(model)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="not found"):
        ADKAdapter().model("nobody knows this model")
    with pytest.raises(ValueError, match="agent id"):
        ADKAdapter().model(Scripted(answers=[]), agent_id="")
    with pytest.raises(ValueError, match="agent id"):
        ADKAdapter(agent_id="")
    with pytest.raises(ValueError, match="longest_call"):
        ADKAdapter(longest_call=-1)
    others: list[Any] = [object(), LOCOScheduler((), SharedResource("llm", 1))]
    for scheduler in others:
        with pytest.raises(ValueError, match="needs an AsyncLOCOScheduler"):
            ADKAdapter(scheduler)


def test_without_adk() -> None:
    """The error names the extra."""
    code = "import sys; sys.modules['google.adk'] = None; import loco_redis.adapters.adk"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: google.adk")
    assert "pip install 'loco-redis[adk]'" in last


def test_the_base_is_adks() -> None:
    """What is scheduled is no class of this project's: ADK decides by classes."""
    kind = type(ADKAdapter().model(Scripted(answers=[])))
    assert kind.__mro__[1] is Scripted
    assert issubclass(kind, BaseLlm)
