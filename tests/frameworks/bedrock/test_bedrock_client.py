"""A scheduled client of boto3: what it is, how it fails, what it is charged with."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.eventstream import EventStream
from botocore.exceptions import ClientError, EventStreamError, ParamValidationError
from botocore.response import StreamingBody
from botocore.stub import Stubber

import loco_redis
from loco_redis import BudgetPolicy, LOCOScheduler, SharedResource
from loco_redis.adapters.bedrock import BedrockAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.asks import Bedrock, BedrockClaude
from tests.adapters.async_scene import AGENT
from tests.adapters.settled import price
from tests.adapters.sync_cases import TEXT
from tests.adapters.sync_scene import SyncScene
from tests.frameworks.bedrock.boto_ways import boto
from tests.schedulers import NAME
from tests.servers import Server
from tests.waiting import wait_until

ARN = "arn:aws:bedrock:us-east-1:123456789012:"
PROFILE = f"{ARN}application-inference-profile/abc"
LLAMA: dict[str, Any] = {"modelId": "meta.llama3-1-8b-instruct-v1:0", "body": '{"prompt": "?"}'}


class Bench:
    """A scheduler of one slot, and clients of it."""

    def __init__(self, provider: FakeProvider, server: Server) -> None:
        self.provider, self._server = provider, server
        self._schedulers: list[LOCOScheduler] = []

    def scheduler(self, **options: Any) -> LOCOScheduler:
        made = LOCOScheduler((), SharedResource(NAME, 1), redis=self._server.url, **options)
        self._schedulers.append(made)
        return made

    def adapter(self, max_retries: int = 0, governed: Any = None, **options: Any) -> BedrockAdapter:
        client, scheduler = boto(self.provider, max_retries), self.scheduler(**(governed or {}))
        options = {"agent_id": AGENT, "prices": price, **options}
        return BedrockAdapter(scheduler, client, **options)

    @property
    def scene(self) -> SyncScene:
        return SyncScene(None, self._schedulers[-1], self.provider, self._server)

    def close(self) -> None:
        for scheduler in self._schedulers:
            scheduler.close()


@pytest.fixture
def bench(provider: FakeProvider, server: Server) -> Iterator[Bench]:
    bench = Bench(provider, server)
    yield bench
    bench.close()


def test_a_client_as_before(bench: Bench) -> None:
    """It passes for one of boto3; what makes no model work goes through without a slot."""
    client = bench.adapter().client
    assert isinstance(client, BaseClient)
    assert client.meta.service_model.service_name == "bedrock-runtime"
    assert repr(client).startswith("<scheduled <botocore.client.BedrockRuntime")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.count_tokens(modelId="m", input={"invokeModel": {"body": b"{}"}})
    with pytest.raises(ClientError):
        raise client.exceptions.ThrottlingException({}, "Converse")
    with pytest.raises(TypeError):
        client.converse(Bedrock.model)
    bench.scene.released(slots=0)


def test_answers_as_before(bench: Bench) -> None:
    """A body that can be read in every way; an event stream that can be left and read on."""
    client = bench.adapter().client
    body = client.invoke_model(**BedrockClaude.arguments)["body"]
    assert isinstance(body, StreamingBody)
    head = body.read(1)
    assert BedrockClaude.text(head + b"".join(body.iter_chunks(7))) == TEXT
    response = client.converse_stream(**Bedrock.arguments)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    stream = response["stream"]
    assert isinstance(stream, EventStream)
    for event in stream:
        assert event == {"messageStart": {"role": "assistant"}}
        break
    assert "".join(map(Bedrock.text_of_event, stream)) == TEXT
    assert list(stream) == []
    stream.close()
    bench.scene.settled(slots=2)


def test_the_body_is_read_in_the_slot(bench: Bench) -> None:
    """An answer that breaks off in its body is an error of the call, which has ended then."""
    client = bench.adapter().client
    bench.provider.script(Reply(break_after=1))
    with pytest.raises(Exception, match="IncompleteRead|content length"):
        client.invoke_model(**BedrockClaude.arguments)
    assert bench.scene.released(slots=1) == (0, 0.0)


def test_dropped_at_once(bench: Bench) -> None:
    """No circle of references keeps a stream: its slot is given back without the collector."""
    client = bench.adapter().client
    bench.provider.script(Reply(gate=threading.Event(), gate_after=3))
    gc.collect()
    gc.disable()
    try:
        for _ in client.converse_stream(**Bedrock.arguments)["stream"]:
            break
        wait_until(lambda: bench.scene.scheduler.snapshot().held == 0)
    finally:
        gc.enable()
    bench.scene.released(slots=1)


def test_usage_by_headers(bench: Bench) -> None:
    """Of models whose bodies do not say what they used, whole and streamed."""
    client = bench.adapter().client
    client.invoke_model(**LLAMA)
    assert list(client.invoke_model_with_response_stream(**LLAMA)["body"])
    bench.scene.settled(slots=2)


def test_retries_hold_the_slot(bench: Bench) -> None:
    """boto3 retries within a call, so its slot is held for all attempts."""
    client = bench.adapter(max_retries=1).client
    bench.provider.script(Reply(status=503))
    assert Bedrock.text(client.converse(**Bedrock.arguments)) == TEXT
    assert len(bench.provider.requests) == 2
    bench.scene.settled(slots=1)


@pytest.mark.parametrize(("status", "pauses"), [(429, True), (503, False), (400, False)])
@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_throttled(bench: Bench, method: str, status: int, pauses: bool) -> None:
    """A ThrottlingException pauses the fleet, for as long as AWS says or a second."""
    client = bench.adapter().client
    bench.provider.script(Reply(status=status))
    with pytest.raises(ClientError):
        getattr(client, method)(**Bedrock.arguments)
    now = bench.scene.scheduler.snapshot()
    assert (now.held, now.paused_for > 0) == (0, pauses)
    assert bench.scene.released(slots=1) == (0, 0.0)


@pytest.mark.parametrize(
    ("error", "pauses"), [("throttlingException", True), ("modelStreamErrorException", False)]
)
def test_an_error_in_a_stream(bench: Bench, error: str, pauses: bool) -> None:
    """It comes as before, pauses the fleet if it is one of too much, and ends the call, which costs
    what had come."""
    ends: list[BaseException | None] = []
    hear = {"on_task_completed": lambda lease, error: ends.append(error)}
    client = bench.adapter(governed=hear).client
    bench.provider.script(Reply(stream_error=error))
    seen = []
    with pytest.raises(EventStreamError, match=error):
        seen.extend(client.converse_stream(**Bedrock.arguments)["stream"])
    assert len(seen) == 4
    now = bench.scene.scheduler.snapshot()
    assert (now.held, now.paused_for > 0) == (0, pauses)
    tokens, cost = bench.scene.released(slots=1)
    whole = Billed.of(bench.provider.requests[0].body, TEXT)
    assert 0 < tokens < whole.total_tokens
    assert cost > 0
    assert isinstance(ends[0], EventStreamError)


def test_two_layers(bench: Bench) -> None:
    """A scheduled client of a scheduled client: one slot."""
    adapter = bench.adapter()
    twice = adapter.wrap(adapter.client)
    assert Bedrock.text(twice.converse(**Bedrock.arguments)) == TEXT
    assert list(twice.converse_stream(**Bedrock.arguments)["stream"])
    bench.scene.settled(slots=2)


def test_downgrade(bench: Bench) -> None:
    """Over the budget the cheaper model is called, also where an ARN was given."""
    cheap, dear = "us.anthropic.claude-haiku-4-5", "us.anthropic.claude-opus-4-1"
    budget = BudgetPolicy(default_limit=0, on_exceeded="downgrade")
    adapter = bench.adapter(governed={"budget": budget}, fallback_models={dear: cheap})
    for model in (f"{dear}-20250805-v1:0", f"{ARN}inference-profile/{dear}-20250805-v1:0"):
        adapter.client.converse(**{**Bedrock.arguments, "modelId": model})
        list(adapter.client.converse_stream(**{**Bedrock.arguments, "modelId": model})["stream"])
    paths = {request.path.split("/")[2] for request in bench.provider.requests}
    assert paths == {cheap}
    bench.scene.settled(slots=4)


def test_models_of_profiles(bench: Bench) -> None:
    """`models` names what an ARN does not; the request goes out as it was."""
    adapter = bench.adapter(models={PROFILE: "claude-opus-5"})
    adapter.client.converse(**{**Bedrock.arguments, "modelId": PROFILE})
    adapter.client.converse(**{**Bedrock.arguments, "modelId": f"{ARN}inference-profile/us.m"})
    costs = bench.scene.scheduler.metrics.attribution.cost_by_model()
    assert set(costs) == {"claude-opus-5", "us.m"}
    assert bench.provider.reported[0].model == PROFILE


@pytest.mark.parametrize("body", [BedrockClaude.body, BedrockClaude.arguments["body"]])
def test_invoke_for_an_agent(bench: Bench, body: Any) -> None:
    """`invoke` and `converse` call for whom they name, also inside of another's context."""
    adapter = bench.adapter()
    with loco_redis.agent("outer", team="t"):
        response = adapter.invoke("müller", model_id=Bedrock.model, body=body)
        more = {k: v for k, v in Bedrock.arguments.items() if k != "modelId"}
        answer = adapter.converse("b", model_id=Bedrock.model, **more)
    assert BedrockClaude.text(response["body"].read()) == Bedrock.text(answer) == TEXT
    bench.scene.settled(slots=2)
    metrics = bench.scene.scheduler.metrics
    assert set(metrics.actual_tokens_by_agent()) == {"müller", "b"}
    assert set(metrics.attribution.cost_by_team()) == {"t"}


def test_what_boto_refuses(bench: Bench) -> None:
    """Arguments that are wrong are boto3's to name; nothing is charged."""
    client = bench.adapter().client
    for arguments in ({}, {"modelId": Bedrock.model, "messages": 3}):
        with pytest.raises(ParamValidationError):
            client.converse(**arguments)
    assert bench.scene.released(slots=2) == (0, 0.0)


def test_stubbed(bench: Bench) -> None:
    """botocore's Stubber works below."""
    client = boto(bench.provider)
    wrapped = BedrockAdapter(bench.scheduler(), client, prices=price).client
    usage = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
    said = {"message": {"role": "assistant", "content": [{"text": "4"}]}}
    with Stubber(client) as stub:
        told = {"output": said, "stopReason": "end_turn", "metrics": {"latencyMs": 1}}
        stub.add_response("converse", {**told, "usage": usage})
        assert Bedrock.text(wrapped.converse(**Bedrock.arguments)) == "4"
    assert bench.scene.released(slots=1) == (3, 0.011)


def test_made_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a client one of boto3 is made when it is needed."""
    for name, value in bench.provider.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    adapter = BedrockAdapter(bench.scheduler(), prices=price)
    assert Bedrock.text(adapter.client.converse(**Bedrock.arguments)) == TEXT
    bench.scene.settled(slots=1)


def _s3() -> Any:
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    return boto3.client("s3", region_name="us-east-1", **keys)


@pytest.mark.parametrize("client", [object, _s3, lambda: "bedrock-runtime"])
def test_no_client_of_the_runtime(bench: Bench, client: Callable[[], Any]) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="client must be .* 'bedrock-runtime'"):
        BedrockAdapter(bench.scheduler()).wrap(client())


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"scheduler": 3}, "scheduler"),
        ({"models": {"": "m"}}, "models"),
        ({"models": {"m": 3}}, "models"),
        ({"agent_id": ""}, "agent id"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_bad_options(options: dict[str, Any], names: str) -> None:
    """Named at once."""
    with pytest.raises(ValueError, match=names):
        BedrockAdapter(**options)


def test_a_bad_agent(bench: Bench) -> None:
    """Named before anything is sent."""
    with pytest.raises(ValueError, match="agent id"):
        bench.adapter().invoke("", model_id="m", body={})
    assert bench.provider.requests == []


MISSING = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing())
from loco_redis.adapters.bedrock import BedrockAdapter
try:
    BedrockAdapter().client
except ModuleNotFoundError as error:
    print(error)
"""


def test_without_boto3() -> None:
    """The module can be imported; what needs the SDK names the extra."""
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "boto3 is not installed: pip install 'loco-redis[bedrock]'"
