"""The fake provider speaks Gemini's form of the API; the SDK meets it in tests/frameworks/adk."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.asks import Gemini

STREAM = f"/v1beta/models/{Gemini.model}:streamGenerateContent?alt=sse"


def post(provider: FakeProvider, path: str = Gemini.path) -> httpx2.Response:
    return httpx2.post(f"{provider.gemini_url}{path}", json=Gemini.arguments)


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "text/event-stream"
    return [json.loads(line[len("data:") :]) for line in answer.text.splitlines() if line]


def test_answers(provider: FakeProvider) -> None:
    """An answer and a stream give the same text and, at the end, the same usage."""
    whole, parts = post(provider).json(), events(post(provider, STREAM))
    assert Gemini.text(whole) == "".join(map(Gemini.text, parts)) == Reply().text
    assert whole["usageMetadata"] == parts[-1]["usageMetadata"]
    assert whole["modelVersion"] == Gemini.model
    assert [part["candidates"][0].get("finishReason") for part in parts[-2:]] == [None, "STOP"]
    first, second = provider.reported
    assert first == second
    assert first.model == Gemini.model


def test_usage(provider: FakeProvider) -> None:
    """The prompt includes what was read from a cache, and what was written to one, which is not
    told; thoughts are beside the candidates, and all is in the sum."""
    provider.default = Reply(billed=Billed("m", 100, 20, 10, 30, 7))
    assert post(provider).json()["usageMetadata"] == {
        "promptTokenCount": 130,
        "cachedContentTokenCount": 20,
        "candidatesTokenCount": 23,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 160,
    }
    assert provider.reported == [Billed("m", 110, 20, 0, 30, 7)]


def test_usage_of_a_stream(provider: FakeProvider) -> None:
    """Each part tells the prompt, and what of the answer there is by then."""
    told = [part["usageMetadata"] for part in events(post(provider, STREAM))]
    assert {usage["promptTokenCount"] for usage in told} == {provider.reported[0].prompt_tokens}
    sums = [usage["totalTokenCount"] for usage in told]
    assert sums == sorted(sums)
    assert sums[-2] < sums[-1] == provider.reported[0].total_tokens


@pytest.mark.parametrize(("status", "name"), [(429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL")])
@pytest.mark.parametrize("path", [Gemini.path, STREAM])
def test_errors(provider: FakeProvider, status: int, name: str, path: str) -> None:
    """In Google's form, with the header."""
    provider.script(Reply(status=status, retry_after=3))
    answer = post(provider, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (status, status, name)
    assert answer.headers["retry-after"] == "3"
    assert provider.reported == []


@pytest.mark.parametrize(
    "path", [f"/v1beta/models/{Gemini.model}:embedContent", f"/v1beta/models/{Gemini.model}"]
)
def test_what_it_has_not(provider: FakeProvider, path: str) -> None:
    assert post(provider, path).status_code == 404


def test_other_paths_of_the_same_form(provider: FakeProvider) -> None:
    """Those of Vertex, and of other versions."""
    project = "/v1/projects/p/locations/l/publishers/google/models"
    for path in (f"{project}/m:generateContent", "/v1/models/m:generateContent"):
        assert Gemini.text(post(provider, path).json()) == Reply().text
    assert [billed.model for billed in provider.reported] == ["m", "m"]


def test_the_environment(provider: FakeProvider) -> None:
    """It brings google-genai here."""
    assert provider.environment["GOOGLE_GEMINI_BASE_URL"] == provider.gemini_url
    assert provider.environment["GOOGLE_API_KEY"]
