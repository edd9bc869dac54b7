"""The A2A extension by which a request says for which agent it is, and how much that matters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from a2a.client import ClientCallContext
from a2a.client.service_parameters import ServiceParametersFactory, with_a2a_extensions
from a2a.types import AgentCard, AgentExtension
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from loco_redis import _validate as validate

#: Names the extension in agent cards, in the header A2A-Extensions, and as a key of metadata.
EXTENSION_URI = "urn:loco-redis:a2a:scheduling:1"
_HEADER = "A2A-Extensions"
_FIELDS = {"agent": "agent_id", "weight": "weight", "slo": "slo"}  # on the wire -> here


@dataclass(frozen=True, slots=True)
class SLOClass:
    """What a class of requests gets.

    Attributes:
        weight: of a request that names none, 1 to 1e9: a heavier one is served earlier.
        timeout: seconds after which it is refused if there is no slot; None: as the adapter says.
    """

    weight: float = 1.0
    timeout: float | None = None

    def __post_init__(self) -> None:
        validate.weight(self.weight)
        if self.timeout is not None:
            validate.seconds("timeout", self.timeout, 0, math.inf)


@dataclass(frozen=True, slots=True)
class A2AScheduling:
    """What a request says of its scheduling; None leaves it to the server.

    On the client's side: `SendMessageRequest(message=..., metadata=asked.metadata)`, sent by
    `client.send_message(request, context=asked.context())`.

    Attributes:
        agent_id: for whom it is: who competes for the slot, and is charged.
        weight: its cost proxy, 1 to 1e9.
        slo: the name of one of the server's classes, which its card lists.

    Raises:
        ValueError: any of them out of range.
    """

    agent_id: str | None = None
    weight: float | None = None
    slo: str | None = None

    def __post_init__(self) -> None:
        if self.agent_id is not None:
            validate.agent_id(self.agent_id)
        if self.weight is not None:
            validate.weight(self.weight)
        if self.slo is not None and not (isinstance(self.slo, str) and self.slo):
            raise ValueError(f"slo must be the name of a class, got {validate.shown(self.slo)}")

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self:
        """What a request's metadata say. Raises ValueError for what cannot be understood."""
        said = metadata.get(EXTENSION_URI)
        if isinstance(said, Struct):  # a2a-sdk 1.0 leaves inner values as they are
            said = MessageToDict(said)
        if said is None:
            return cls()
        if not isinstance(said, Mapping):
            raise ValueError(
                f"metadata[{EXTENSION_URI!r}] must be an object, such as "
                f"{{'agent': 'analyst', 'weight': 2}}, got {validate.shown(said)}"
            )
        if unknown := said.keys() - _FIELDS.keys():
            raise ValueError(
                f"metadata[{EXTENSION_URI!r}] has {validate.shown(min(unknown))}: "
                f"it may have {', '.join(_FIELDS)}"
            )
        return cls(**{_FIELDS[name]: value for name, value in said.items()})

    @property
    def metadata(self) -> dict[str, Any]:
        """For a SendMessageRequest."""
        said = {wire: getattr(self, name) for wire, name in _FIELDS.items()}
        return {EXTENSION_URI: {wire: value for wire, value in said.items() if value is not None}}

    @property
    def headers(self) -> dict[str, str]:
        """That activate the extension, for a client of one's own."""
        return {_HEADER: EXTENSION_URI}

    def context(self, base: ClientCallContext | None = None) -> ClientCallContext:
        """The same for a call of the SDK's client; what `base` says is kept."""
        made = base.model_copy() if base is not None else ClientCallContext()
        activate = with_a2a_extensions([EXTENSION_URI])
        made.service_parameters = ServiceParametersFactory.create_from(
            made.service_parameters, [activate]
        )
        return made


def add_extension(
    card: AgentCard, *, resource: str | None = None, slo_classes: Iterable[str] = ()
) -> AgentCard:
    """Say in a card, which is returned, that its agent understands the extension.

    Args:
        resource: whose slots its tasks take.
        slo_classes: the names that `slo` may have.
    """
    extension = AgentExtension(
        uri=EXTENSION_URI,
        description="Tasks wait for a slot that is shared with others; the request's metadata may "
        f"name the agent, weight and slo, under the key {EXTENSION_URI}",
        params={"sloClasses": sorted(slo_classes)} | ({"resource": resource} if resource else {}),
    )
    others = [other for other in card.capabilities.extensions if other.uri != EXTENSION_URI]
    del card.capabilities.extensions[:]
    card.capabilities.extensions.extend([*others, extension])
    return card
