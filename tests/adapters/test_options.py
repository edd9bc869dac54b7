"""What adapters and transports take, and what they say to what they do not."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest

import loco_redis as loco
from loco_redis import AsyncLOCOScheduler, LOCOScheduler, SharedResource
from loco_redis.adapters import (
    AnthropicAdapter,
    AsyncScheduledTransport,
    OpenAIAdapter,
    ScheduledTransport,
)
from loco_redis.adapters._calls.failures import pause_asked
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.async_ways import KEY
from tests.defaults import Defaults, defaults
from tests.schedulers import Schedulers
from tests.servers import Server

__all__ = ["defaults"]

RESOURCE = SharedResource("llm", 1)
MAKERS = [AnthropicAdapter, OpenAIAdapter, AsyncScheduledTransport, ScheduledTransport]
MESSAGES: Any = [{"role": "user", "content": "Why?"}]


@pytest.fixture
def blocking() -> LOCOScheduler:
    return LOCOScheduler((), RESOURCE)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"agent_id": ""}, "agent id must not be empty"),
        ({"timeout": -1}, "timeout must be a number of seconds from 0"),
        ({"weight": 0.5}, "weight must be"),
        ({"prices": "yes"}, "prices must be True, False, None or a function"),
        ({"fallback_models": {"a": 1}}, "fallback_models must name models.*got 'a': 1"),
        ({"scheduler": "llm"}, "LOCOScheduler.*got 'llm'"),
    ],
)
def test_bad_options(maker: Any, options: dict[str, Any], says: str) -> None:
    """Each is named, before anything is made."""
    with pytest.raises(ValueError, match=says):
        maker(**options)


def test_kinds_that_do_not_fit(blocking: LOCOScheduler) -> None:
    """An async client needs an async scheduler, a plain one a blocking one."""
    scheduler = AsyncLOCOScheduler((), RESOURCE)
    for adapter, plain, other in (
        (AnthropicAdapter, anthropic.Anthropic, anthropic.AsyncAnthropic),
        (OpenAIAdapter, openai.OpenAI, openai.AsyncOpenAI),
    ):
        with pytest.raises(ValueError, match="a plain client needs a LOCOScheduler"):
            adapter(scheduler, plain(api_key=KEY))
        with pytest.raises(ValueError, match="an async client needs an AsyncLOCOScheduler"):
            adapter(blocking, other(api_key=KEY))
    with pytest.raises(ValueError, match="a plain client"):
        ScheduledTransport(scheduler)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="an async client"):
        AsyncScheduledTransport(blocking)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="match must be a function"):
        ScheduledTransport(match="/v1")  # type: ignore[arg-type]


def test_repr(blocking: LOCOScheduler) -> None:
    """It shows whose slots are taken."""
    assert repr(AnthropicAdapter()) == "<AnthropicAdapter of the configured scheduler>"
    assert repr(OpenAIAdapter(blocking)).startswith("<OpenAIAdapter of <LOCOScheduler 'llm' at")


def test_not_a_client() -> None:
    """What is no client of the SDK is shown."""
    with pytest.raises(ValueError, match="client must be an AsyncAnthropic or an Anthropic"):
        AnthropicAdapter().wrap(openai.OpenAI(api_key=KEY))
    with pytest.raises(ValueError, match="client must be an AsyncOpenAI or an OpenAI"):
        OpenAIAdapter(client=object())


@pytest.mark.parametrize(
    ("module", "maker", "extra"),
    [
        ("anthropic", "AnthropicAdapter().client", "anthropic"),
        ("openai", "OpenAIAdapter().client", "openai"),
        ("genai_prices", "OpenAIAdapter(prices=True)", "prices"),
    ],
)
def test_a_missing_extra(module: str, maker: str, extra: str) -> None:
    """The error says what to install; nothing is imported before it is needed."""
    program = f"""
import sys
sys.modules[{module!r}] = None
import loco_redis.adapters as adapters
from loco_redis.adapters import AnthropicAdapter, OpenAIAdapter, ScheduledTransport, estimate
AnthropicAdapter(), OpenAIAdapter(), ScheduledTransport(), estimate("gpt-5", 1, 1, prices=False)
assert not {{"anthropic", "openai", "httpx", "httpx2"}} & {{
    name for name, found in sys.modules.items() if found}}, "imported too early"
try:
    {maker}
except ModuleNotFoundError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert f"pip install 'loco-redis[{extra}]'" in run.stdout, run.stderr


async def test_the_configured_scheduler(provider: FakeProvider, defaults: Defaults) -> None:
    """Without a scheduler it is that of `configure`: of each loop its own, and the blocking one."""
    defaults.configure(1)
    client = anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key=KEY)
    plain = anthropic.Anthropic(base_url=provider.anthropic_url, api_key=KEY)
    ask: Any = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": MESSAGES}
    async with client:
        with loco.agent("a"):
            await AnthropicAdapter(client=client).create(**ask)
    with plain:
        AnthropicAdapter(client=plain).create_message("b", **ask)
    costs = await loco.get_scheduler().metrics.actual_tokens_by_agent()
    assert sorted(costs) == ["a", "b"]


@pytest.mark.parametrize("sdk", ["anthropic", "openai"])
def test_the_agent_as_a_default_header(provider: FakeProvider, server: Server, sdk: str) -> None:
    """A client's own default header names the agent of its calls, and stays here."""
    named: Any = {"api_key": KEY, "default_headers": {"X-Loco-Agent": "one%20of%20many"}}
    with LOCOScheduler((), RESOURCE, redis=server.url) as scheduler:
        if sdk == "anthropic":
            claude = anthropic.Anthropic(base_url=provider.anthropic_url, **named)
            adapter = AnthropicAdapter(scheduler, claude)
            adapter.create(model="claude-haiku-4-5", max_tokens=5, messages=MESSAGES)
            adapter.client.models.list()
        else:
            gpt = openai.OpenAI(base_url=provider.openai_url, **named)
            chats = OpenAIAdapter(scheduler, gpt)
            chats.client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
            chats.client.models.list()
        assert list(scheduler.metrics.actual_tokens_by_agent()) == ["one of many"]
    assert [x for x in provider.requests if "x-loco-agent" in x.headers] == []


async def test_what_takes_a_slot_can_be_chosen(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """`match` decides; a request of no known format has the weight given, and costs it."""
    scheduler = schedulers()
    transport = AsyncScheduledTransport(
        scheduler, match=lambda request: request.url.path == "/v1/models", weight=3.5
    )
    async with httpx.AsyncClient(transport=transport, base_url=provider.url) as client:
        assert (await client.get("/v1/models")).is_success
        body = {"model": "gpt-4o", "messages": MESSAGES}
        assert (await client.post("/v1/chat/completions", json=body)).is_success
    assert (await scheduler.snapshot()).granted == 1
    assert await scheduler.metrics.cost_by_agent() == {"default": 3.5}


async def test_bodies_that_are_no_json(provider: FakeProvider, schedulers: Schedulers) -> None:
    """They take a slot, and the provider says what is wrong with them."""
    scheduler = schedulers()
    transport = AsyncScheduledTransport(scheduler)
    async with httpx2.AsyncClient(transport=transport, base_url=provider.url) as client:
        for body in (b"{", b"[]", b"[" * 100_000, b'{"model": 7}'):
            response = await client.post("/v1/chat/completions", content=body)
            assert response.request.content == body
    snapshot = await scheduler.snapshot()
    assert (snapshot.granted, snapshot.held) == (4, 0)


async def test_a_mocked_transport(schedulers: Schedulers) -> None:
    """An answer that is there at once, as mocks give it, frees its slot, too."""
    scheduler = schedulers()
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    inner = httpx2.MockTransport(lambda request: httpx2.Response(200, json={"usage": usage}))
    transport = AsyncScheduledTransport(scheduler, inner)
    async with httpx2.AsyncClient(transport=transport) as client:
        for _ in range(2):
            await client.post("https://llm.invalid/v1/chat/completions", json={"model": "gpt-4o"})
    assert (await scheduler.snapshot()).held == 0
    assert await scheduler.metrics.total_actual_tokens() == 14


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (200, {"retry-after": "3"}, None),
        (500, {"retry-after": "3"}, None),
        (503, {}, None),
        (503, {"retry-after": "3"}, 3.0),
        (429, {}, 1.0),
        (529, {}, 1.0),
        (429, {"retry-after": "0.25"}, 0.25),
        (429, {"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        (429, {"retry-after": "-5"}, 0.0),
        (429, {"retry-after": "86400"}, 120.0),
        (429, {"retry-after": "soon"}, 1.0),
        (429, {"retry-after": "nan"}, 1.0),
    ],
)
def test_how_long_a_provider_is_left_alone(
    status: int, headers: dict[str, str], pause: float | None
) -> None:
    assert pause_asked(status, headers) == pause


def test_a_date_to_wait_for() -> None:
    at = datetime.now(UTC) + timedelta(seconds=30)
    pause = pause_asked(429, {"retry-after": format_datetime(at, usegmt=True)})
    assert pause == pytest.approx(30, abs=2)
