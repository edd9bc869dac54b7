"""The extension in cards and requests; nothing here needs a server."""

from __future__ import annotations

import pytest
from a2a.client import ClientCallContext
from a2a.extensions.common import find_extension_by_uri
from a2a.types import AgentCapabilities, AgentCard, AgentExtension, SendMessageRequest
from google.protobuf.json_format import MessageToDict

from loco_redis.adapters.a2a import (
    EXTENSION_URI,
    A2AExecutor,
    A2AScheduling,
    SLOClass,
    add_extension,
)
from tests.frameworks.a2a.executors import Inner


def test_what_a_client_says_survives_the_way_to_the_server() -> None:
    asked = A2AScheduling("analyst", 2.5, "interactive")
    request = SendMessageRequest(metadata=asked.metadata)
    assert A2AScheduling.of(MessageToDict(request.metadata)) == asked
    assert A2AScheduling.of(dict(request.metadata)) == asked
    assert A2AScheduling.of({}) == A2AScheduling.of(A2AScheduling().metadata) == A2AScheduling()


def test_a_call_activates_the_extension_and_keeps_what_it_had() -> None:
    base = ClientCallContext(timeout=3.0, service_parameters={"A2A-Extensions": "urn:other"})
    made = A2AScheduling("analyst").context(base)
    assert made.timeout == 3.0
    assert made.service_parameters is not None
    assert set(made.service_parameters["A2A-Extensions"].split(",")) == {EXTENSION_URI, "urn:other"}
    assert base.service_parameters == {"A2A-Extensions": "urn:other"}
    assert A2AScheduling().context().service_parameters == A2AScheduling().headers


@pytest.mark.parametrize("said", [{"agent_id": ""}, {"weight": 0.5}, {"slo": ""}, {"slo": 3}])
def test_a_client_cannot_say_what_no_server_accepts(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="agent|weight|slo"):
        A2AScheduling(**said)  # type: ignore[arg-type]


def test_a_card_names_the_extension_once_and_keeps_the_others() -> None:
    other = AgentExtension(uri="urn:other")
    card = AgentCard(capabilities=AgentCapabilities(extensions=[other]))
    for classes in (["gold"], ["interactive", "batch"]):
        assert add_extension(card, resource="llm", slo_classes=classes) is card
    assert [extension.uri for extension in card.capabilities.extensions] == [
        "urn:other",
        EXTENSION_URI,
    ]
    found = find_extension_by_uri(card, EXTENSION_URI)
    assert found is not None
    assert MessageToDict(found.params) == {
        "resource": "llm",
        "sloClasses": ["batch", "interactive"],
    }
    assert not found.required


@pytest.mark.parametrize(
    "options", [{"agent_id": ""}, {"weight": 0}, {"timeout": -1}, {"scheduler": "redis://"}]
)
def test_bad_options_are_an_error_at_once(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="agent id|weight|timeout|AsyncLOCOScheduler"):
        A2AExecutor(Inner(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"weight": 0.0}, {"timeout": -1.0}])
def test_a_class_is_checked_when_it_is_made(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="weight|timeout"):
        SLOClass(**options)
