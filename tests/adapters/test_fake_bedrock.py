"""The fake provider speaks Bedrock: what it sends is looked at byte by byte, without an SDK."""

from __future__ import annotations

import base64
import json
import struct
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.asks import Bedrock, BedrockClaude

BILLED = Billed("m", 100, 20, 10, 30, 7)
CLAUDE, LLAMA = Bedrock.model, "meta.llama3-1-8b-instruct-v1:0"
ARN = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{CLAUDE}"


def post(
    provider: FakeProvider, verb: str, body: Any = None, model: str = CLAUDE
) -> tuple[Any, bytes]:
    """Headers and body of the answer."""
    url = f"{provider.bedrock_url}/model/{quote(model, safe='')}/{verb}"
    asked = Bedrock.arguments if body is None else body
    data = json.dumps({k: v for k, v in asked.items() if k != "modelId"}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data)) as answer:
        return answer.headers, answer.read()


def frames(data: bytes) -> Iterator[tuple[dict[str, str], Any]]:
    """The messages of an event stream; their checksums are right."""
    while data:
        size, of_headers = struct.unpack_from(">II", data)
        message, data = data[:size], data[size:]
        assert struct.unpack_from(">I", message, 8)[0] == zlib.crc32(message[:8])
        assert struct.unpack(">I", message[-4:])[0] == zlib.crc32(message[:-4])
        end = 12 + of_headers
        yield dict(headers(message[12:end])), json.loads(message[end:-4])


def headers(data: bytes) -> Iterator[tuple[str, str]]:
    while data:
        name, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        kind, size = struct.unpack_from(">BH", data)
        assert kind == 7
        yield name.decode(), data[3 : 3 + size].decode()
        data = data[3 + size :]


def test_converse(provider: FakeProvider) -> None:
    """The answer and its usage, the cache beside the input; the path names the model."""
    provider.script(Reply(billed=BILLED), Reply())
    _, body = post(provider, "converse")
    answer = json.loads(body)
    assert Bedrock.text(answer) == Reply().text
    assert answer["usage"] == {
        "inputTokens": 100,
        "outputTokens": 30,
        "totalTokens": 160,
        "cacheReadInputTokens": 20,
        "cacheWriteInputTokens": 10,
    }
    post(provider, "converse", model=ARN)
    assert [billed.model for billed in provider.reported] == ["m", ARN]
    assert provider.reported[0].reasoning_tokens == 0


def test_converse_stream(provider: FakeProvider) -> None:
    """Events in frames, the usage in the last one."""
    told, body = post(provider, "converse-stream")
    assert told["content-type"] == "application/vnd.amazon.eventstream"
    events = list(frames(body))
    assert all(head[":message-type"] == "event" for head, _ in events)
    texts = [value["delta"]["text"] for head, value in events if "Delta" in head[":event-type"]]
    assert "".join(texts) == Reply().text
    head, last = events[-1]
    assert head[":event-type"] == "metadata"
    (billed,) = provider.reported
    assert last["usage"]["totalTokens"] == billed.total_tokens


@pytest.mark.parametrize(
    ("model", "body"), [(CLAUDE, BedrockClaude.body), (LLAMA, {"prompt": "?"})]
)
def test_invoke(provider: FakeProvider, model: str, body: dict[str, Any]) -> None:
    """Each family in a form of its own; the headers say what was used, whole and streamed."""
    provider.default = Reply(billed=BILLED)
    told, answer = post(provider, "invoke", body, model)
    counts = [
        told[f"x-amzn-bedrock-{kind}-token-count"]
        for kind in ("input", "output", "cache-read-input", "cache-write-input")
    ]
    assert counts == ["100", "30", "20", "10"]
    _, streamed = post(provider, "invoke-with-response-stream", body, model)
    events = [json.loads(base64.b64decode(value["bytes"])) for _, value in frames(streamed)]
    metrics = events[-1]["amazon-bedrock-invocationMetrics"]
    assert (metrics["inputTokenCount"], metrics["cacheReadInputTokenCount"]) == (100, 20)
    if model == CLAUDE:
        assert json.loads(answer)["usage"]["cache_read_input_tokens"] == 20
        assert events[0]["type"] == "message_start"
    else:
        assert json.loads(answer) == {"generation": Reply().text}
        assert "".join(event["generation"] for event in events) == Reply().text


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "ThrottlingException"), (400, "ValidationException"), (500, "InternalServerException")],
)
def test_errors(provider: FakeProvider, status: int, kind: str) -> None:
    """A status, and the name of the exception in a header."""
    provider.script(Reply(status=status, retry_after=1.5))
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(provider, "converse-stream")
    with caught.value as error:
        assert (error.code, error.headers["x-amzn-errortype"]) == (status, kind)
        assert error.headers["retry-after"] == "1.5"
        assert json.load(error) == {"message": f"scripted: {status}"}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        post(provider, "embed")


def test_an_error_in_a_stream(provider: FakeProvider) -> None:
    """Half of the events come, then the exception; nothing is billed."""
    provider.script(Reply(stream_error="throttlingException"))
    _, body = post(provider, "converse-stream")
    *_, (before, _), (head, value) = frames(body)
    assert before[":event-type"] == "contentBlockDelta"
    assert head[":message-type"] == "exception"
    assert head[":exception-type"] == "throttlingException"
    assert value == {"message": "scripted: throttlingException"}
    assert provider.reported == []
