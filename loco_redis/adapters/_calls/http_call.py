"""One HTTP attempt at a provider: who makes it, what it asks for, what it has come to. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from loco_redis import _validate as validate
from loco_redis.adapters._calls.answer import Answer
from loco_redis.adapters._calls.call import Call, CallOptions
from loco_redis.adapters._calls.failures import pause_asked
from loco_redis.adapters._calls.formats import Format
from loco_redis.adapters.weights import Estimate, prompt_tokens_of

#: Says for which agent a single request is, percent-encoded; it does not leave the process.
AGENT_HEADER = "x-loco-agent"


class HTTPCall(Call):
    """Made from a request.

    Args:
        options: of the adapter.
        wire: the request's format; None: one that is not understood.
        body: the request's JSON; {} if it is none.
        agent: the value of its AGENT_HEADER, if it has one.
        url: where it goes, which may tell its prices.

    Attributes:
        changed: whether `body` is another than the caller's.
    """

    def __init__(
        self,
        options: CallOptions,
        wire: Format | None,
        body: Mapping[str, Any],
        agent: str | None = None,
        url: str = "",
    ) -> None:
        super().__init__(options, unquote(agent) if agent is not None else None)
        self._wire, self.body, self._url = wire, body, url
        self.changed = False
        self._hides_usage = False
        self._prompt_tokens = prompt_tokens_of(body) if wire is not None else 0
        self._answer: Answer | None = None

    @property
    def model(self) -> str:
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @property
    def task_type(self) -> str:
        return f"{self._wire.name.partition('_')[0]}:{self.model}" if self._wire is not None else ""

    def downgrade(self) -> bool:
        cheaper = self.options.fallback_of(self.model)
        if cheaper is None:
            return False
        self._change({**self.body, "model": cheaper})
        return True

    def ask_usage(self) -> None:
        asking = self._wire.asking_usage(self.body) if self._wire is not None else None
        if asking is not None:
            self._change(asking)
            self._hides_usage = True

    def content(self) -> bytes:
        """The body as it is to be sent."""
        return json.dumps(self.body, separators=(",", ":")).encode()

    def answered(self, status: int, headers: Mapping[str, str]) -> float | None:
        """The answer begins; returns the seconds for which the provider wants no more calls."""
        self.status = status
        self._answer = Answer(
            self._wire,
            headers.get("content-type", ""),
            hides_usage=self._hides_usage and not self.failed,
            prompt_tokens=self._prompt_tokens,
        )
        return pause_asked(status, headers)

    @property
    def answer(self) -> Answer:
        """What reads the answer as it passes; once it has begun."""
        assert self._answer is not None
        return self._answer

    def bill(self) -> tuple[float, int] | None:
        if self._answer is None or self.failed:
            return 0.0, 0
        usage = self._answer.usage
        if usage is None:
            return None
        return self.options.pricing.cost(self.model, usage, self._url), usage.total_tokens

    @property
    def _estimate(self) -> Estimate | None:
        if self._wire is None:
            return None
        most = self._wire.max_output_tokens(self.body)
        return self.options.pricing.estimate(self.model, self._prompt_tokens, most, self._url)

    def _change(self, body: Mapping[str, Any]) -> None:
        self.body, self.changed = body, True


def agent_header(agent_id: str) -> dict[str, str]:
    """For `extra_headers=` of a single request. Raises ValueError for a bad id."""
    validate.agent_id(agent_id)
    return {AGENT_HEADER: quote(agent_id)}
