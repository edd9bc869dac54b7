"""The real SDKs can talk to the fake provider, and it does as it is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.request import urlopen

import anthropic
import httpx2
import openai
import pytest

from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.asks import Ask, Beta, Chat, Messages, Responses, Verdict
from tests.waiting import wait_until

each_form = pytest.mark.parametrize("ask", [Messages, Beta, Chat, Responses])


def client_for(ask: type[Ask], provider: FakeProvider, max_retries: int = 0) -> Any:
    if issubclass(ask, Messages):
        return anthropic.Anthropic(
            base_url=provider.anthropic_url, api_key="any", max_retries=max_retries
        )
    return openai.OpenAI(base_url=provider.openai_url, api_key="any", max_retries=max_retries)


@each_form
def test_answers(ask: type[Ask], provider: FakeProvider) -> None:
    """An answer, a stream and the SDK's helper give the same text and the same usage."""
    with client_for(ask, provider) as client:
        api = ask.of(client)
        assert ask.text(api.create(**ask.arguments).model_dump()) == Reply().text
        more = {"stream_options": {"include_usage": True}} if ask is Chat else {}
        events = list(api.create(**ask.arguments, stream=True, **more))
        choices = events[:-1] if ask is Chat else events
        texts = [ask.text_of_event(event.model_dump()) for event in choices]
        assert "".join(texts) == Reply().text
        with api.stream(**ask.arguments, **more) as stream:
            final = getattr(stream, ask.final)()
        assert ask.text(final.model_dump()) == Reply().text
        provider.script(Reply('{"answer": 4, "reason": ""}'))
        parsed = api.parse(**ask.arguments, **ask.structured)
        assert ask.parsed(parsed) == Verdict(answer=4, reason="")
    first, second, third, _ = provider.reported
    assert first == second == third
    assert first.prompt_tokens + first.output_tokens == first.total_tokens
    assert provider.peak == 1
    assert [request.method for request in provider.requests] == ["POST"] * 4


def test_usage_in_each_providers_way(provider: FakeProvider) -> None:
    """Anthropic's input excludes what was cached, OpenAI's includes it."""
    billed = Billed("m", 100, 20, 10, 30, 7)
    provider.default = Reply(billed=billed)
    with client_for(Messages, provider) as client:
        usage = client.messages.create(**Messages.arguments).usage
        assert (usage.input_tokens, usage.output_tokens) == (100, 30)
        assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (20, 10)
        assert usage.output_tokens_details.thinking_tokens == 7
    with client_for(Chat, provider) as client:
        usage = client.chat.completions.create(**Chat.arguments).usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (130, 30, 160)
        details = usage.prompt_tokens_details
        assert (details.cached_tokens, details.cache_write_tokens) == (20, 10)
        assert usage.completion_tokens_details.reasoning_tokens == 7
        usage = client.responses.create(**Responses.arguments).usage
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (130, 30, 160)
        assert usage.input_tokens_details.cached_tokens == 20
        assert usage.output_tokens_details.reasoning_tokens == 7
    assert provider.reported == [billed] * 3


def test_other_calls(provider: FakeProvider) -> None:
    """Embeddings in both encodings, models, counted tokens; what is unknown is 404."""
    with client_for(Chat, provider) as client:
        asked: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["a", "b"]}
        packed = client.embeddings.create(**asked, dimensions=3)
        plain = client.embeddings.create(**asked, dimensions=3, encoding_format="float")
        assert packed.data == plain.data
        assert [len(row.embedding) for row in plain.data] == [3, 3]
        assert plain.usage.total_tokens == provider.reported[0].total_tokens
        assert "gpt-5" in [model.id for model in client.models.list()]
        with pytest.raises(openai.NotFoundError, match="no POST /v1/moderations"):
            client.moderations.create(input="a")
    with client_for(Messages, provider) as client:
        asked = {"model": "claude-opus-4-1", "messages": Messages.arguments["messages"]}
        assert client.messages.count_tokens(**asked).input_tokens > 40
        assert "claude-opus-4-1" in [model.id for model in client.models.list()]


@each_form
def test_errors(ask: type[Ask], provider: FakeProvider) -> None:
    """A scripted status is the SDK's error; it retries as Retry-After says."""
    library = anthropic if issubclass(ask, Messages) else openai
    with client_for(ask, provider) as client:
        provider.script(Reply(status=500), Reply(status=429, retry_after=1.5))
        with pytest.raises(library.InternalServerError):
            ask.of(client).create(**ask.arguments)
        with pytest.raises(library.RateLimitError) as caught:
            ask.of(client).create(**ask.arguments)
        assert caught.value.response.headers["retry-after"] == "1.5"
        provider.script(Reply(status=529, retry_after=0.01))
        ask.of(client.with_options(max_retries=1)).create(**ask.arguments)
    assert len(provider.requests) == 4
    assert len(provider.reported) == 1


@each_form
def test_broken_off(ask: type[Ask], provider: FakeProvider) -> None:
    """A connection can be closed before an answer, in it, and in a stream."""
    library = anthropic if issubclass(ask, Messages) else openai
    with client_for(ask, provider) as client:
        for after in (0, 1):
            provider.script(Reply(break_after=after))
            with pytest.raises(library.APIConnectionError):
                ask.of(client).create(**ask.arguments)
        provider.script(Reply(break_after=6))
        seen = []
        with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
            seen.extend(
                ask.text_of_event(event.model_dump())
                for event in ask.of(client).create(**ask.arguments, stream=True)
            )
    assert provider.reported == []
    assert (provider.in_flight, provider.disconnects) == (0, 0)


def test_gates_and_disconnects(provider: FakeProvider) -> None:
    """A gate holds an answer, so that requests pile up; callers that leave are noticed."""
    gate = threading.Event()
    provider.script(*[Reply(gate=gate)] * 3, Reply(gate=threading.Event(), gate_after=6))
    with client_for(Chat, provider) as client, ThreadPoolExecutor(3) as threads:
        for _ in range(3):
            threads.submit(client.chat.completions.create, **Chat.arguments)
        wait_until(lambda: provider.in_flight == 3)
        gate.set()
        wait_until(lambda: provider.in_flight == 0)
        stream = client.chat.completions.create(**Chat.arguments, stream=True)
        next(stream)
        assert provider.in_flight == 1
        stream.close()
        wait_until(lambda: provider.disconnects == 1)
    assert (provider.in_flight, provider.peak, len(provider.reported)) == (0, 3, 3)


def test_stopping_ends_all_threads() -> None:
    """Also those of connections that are kept alive, or wait for a gate."""
    with FakeProvider() as provider:
        provider.script(Reply(), Reply(gate=threading.Event()))
        with client_for(Chat, provider) as client, ThreadPoolExecutor(1) as thread:
            client.chat.completions.create(**Chat.arguments)
            left = thread.submit(client.chat.completions.create, **Chat.arguments)
            wait_until(lambda: provider.in_flight == 1)
            provider.stop()
            with pytest.raises(openai.APIConnectionError):
                left.result()
    assert not [t for t in threading.enumerate() if t.name.startswith("fake-provider")]


def test_as_a_process() -> None:
    """It prints its URL, serves with the latency given, tells what it saw, and ends by SIGTERM."""
    command = [sys.executable, "-m", "loco_redis.testing.fake_provider", "--latency", "0.02"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with closing(openai.OpenAI(base_url=f"{url}/v1", api_key="any")) as client:
            client.chat.completions.create(**Chat.arguments)
        with urlopen(f"{url}/stats") as answer:
            figures = json.load(answer)
        assert (figures["requests"], figures["peak"], figures["in_flight"]) == (1, 1, 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
