"""One HTTP attempt at a provider: who makes it, what it asks for, what it has come to. No I/O."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, TypedDict
from urllib.parse import quote, unquote

from loco_redis import _validate as validate
from loco_redis.adapters._answer import Answer
from loco_redis.adapters._formats import Format
from loco_redis.adapters.prices import Price, Pricing
from loco_redis.adapters.weights import Estimate, prompt_tokens_of
from loco_redis.context import DEFAULT_AGENT, current
from loco_redis.models import Task

#: Says for which agent a single request is, percent-encoded; it does not leave the process.
AGENT_HEADER = "x-loco-agent"

# What a provider hangs on a model's name: `-20250805`, `-2025-08-07`, `@20250805`, `-v1:0`.
_VERSION = re.compile(r"(?:[-@:](?:v?[0-9]+|latest))*")

_OVERLOADED = (429, 529)
_UNAVAILABLE = 503
_DEFAULT_PAUSE, _LONGEST_PAUSE = 1.0, 120.0  # seconds


class CallArguments(TypedDict, total=False):
    """What every adapter and transport takes.

    Attributes:
        agent_id: who calls where neither the request nor `loco_redis.agent` says it ("default").
        timeout: seconds to wait for a slot, for each attempt; None: for ever.
        fallback_models: model -> the one to use instead when the agent is over a budget in mode
            "downgrade"; a key also stands for its dated versions.
        prices: as of Pricing: None for genai-prices if that is installed, False for weights, or a
            function of (model, Usage); or a Pricing that others use, too.
        weight: of each call; None: by its model and length.
    """

    agent_id: str
    timeout: float | None
    fallback_models: Mapping[str, str] | None
    prices: bool | Price | Pricing | None
    weight: float | None


@dataclass(frozen=True, slots=True)
class CallOptions:
    """CallArguments, checked."""

    agent_id: str
    timeout: float | None
    fallback_models: Mapping[str, str]
    pricing: Pricing
    weight: float | None

    @classmethod
    def of(
        cls,
        *,
        agent_id: str = DEFAULT_AGENT,
        timeout: float | None = None,
        fallback_models: Mapping[str, str] | None = None,
        prices: bool | Price | Pricing | None = None,
        weight: float | None = None,
    ) -> CallOptions:
        """Raises ValueError for any of them out of range."""
        validate.agent_id(agent_id)
        if timeout is not None:
            validate.seconds("timeout", timeout, 0, math.inf)
        if weight is not None:
            validate.weight(weight)
        models = dict(fallback_models or {})
        for pair in models.items():
            if not all(isinstance(model, str) and model for model in pair):
                raise ValueError(
                    "fallback_models must name models, such as "
                    "{'claude-opus-4-1': 'claude-haiku-4-5'}, "
                    f"got {validate.shown(pair[0])}: {validate.shown(pair[1])}"
                )
        pricing = prices if isinstance(prices, Pricing) else Pricing(prices)
        return cls(agent_id, timeout, models, pricing, weight)

    def arguments(self) -> CallArguments:
        """They make the same options, and share the prices."""
        return {
            "agent_id": self.agent_id,
            "timeout": self.timeout,
            "fallback_models": self.fallback_models,
            "prices": self.pricing,
            "weight": self.weight,
        }

    def fallback_of(self, model: str) -> str | None:
        """By the model's name, else by that of which it is a dated or numbered version: for
        `claude-opus-4-1-20250805`, but `gpt-5-nano` is no version of `gpt-5`."""
        keys = [key for key in self.fallback_models if _is_version(model, key)]
        return self.fallback_models[max(keys, key=len)] if keys else None


def _is_version(model: str, of: str) -> bool:
    return model.startswith(of) and _VERSION.fullmatch(model, len(of)) is not None


class Call:
    """Made from a request; told how it is answered; then it knows what to settle.

    Args:
        options: of the adapter.
        wire: the request's format; None: one that is not understood.
        body: the request's JSON; {} if it is none.
        agent: the value of its AGENT_HEADER, if it has one.
        url: where it goes, which may tell its prices.
    """

    def __init__(
        self,
        options: CallOptions,
        wire: Format | None,
        body: Mapping[str, Any],
        agent: str | None = None,
        url: str = "",
    ) -> None:
        self.options, self._wire, self.body, self._url = options, wire, body, url
        self._caller = current()
        by_context = self._caller.agent_id if self._caller is not None else options.agent_id
        self.agent_id = unquote(agent) if agent is not None else by_context
        self.changed = False  # whether `body` is another than the caller's
        self._hides_usage = False
        self._prompt_tokens = prompt_tokens_of(body) if wire is not None else 0
        self._estimate = self._estimated()
        self.status = 0  # of the answer, once there is one
        self._answer: Answer | None = None

    @property
    def model(self) -> str:
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @property
    def task_type(self) -> str:
        """Of its tasks: the provider's format and the model, as in `anthropic:claude-opus-4-1`."""
        return f"{self._wire.name.partition('_')[0]}:{self.model}" if self._wire is not None else ""

    def task(self) -> Task:
        """What waits for the slot. Raises ValueError for a model's name that cannot be one."""
        estimate, weight = self._estimate, self.options.weight
        if weight is None:
            weight = estimate.weight if estimate is not None else 1.0
        return replace(
            self._caller.task(weight) if self._caller is not None else Task(weight=weight),
            task_type=self.task_type,
            model=self.model or None,
            cost=estimate.cost if estimate is not None else None,
            tokens=estimate.tokens if estimate is not None else None,
        )

    def downgrade(self) -> bool:
        """Turn to the cheaper model; False if there is none."""
        cheaper = self.options.fallback_of(self.model)
        if cheaper is None:
            return False
        self._change({**self.body, "model": cheaper})
        self._estimate = self._estimated()
        return True

    def ask_usage(self) -> None:
        """Make the answer report what it uses, where it would not."""
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

    @property
    def failed(self) -> bool:
        """The provider has answered by an error."""
        return self.status >= 400

    def bill(self) -> tuple[float, int] | None:
        """Cost (not rounded) and tokens; None when the answer says nothing: as estimated then.

        Nothing for a call that the provider has refused or never answered.
        """
        if self._answer is None or self.failed:
            return 0.0, 0
        usage = self._answer.usage
        if usage is None:
            return None
        return self.options.pricing.cost(self.model, usage, self._url), usage.total_tokens

    def _estimated(self) -> Estimate | None:
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


def pause_asked(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds, at most two minutes, for which a provider that answers so wants to be left alone:
    429 and 529 ("overloaded") always mean it, 503 if it says how long."""
    if status not in (*_OVERLOADED, _UNAVAILABLE):
        return None
    asked = _retry_after(headers)
    if asked is None:
        return _DEFAULT_PAUSE if status in _OVERLOADED else None
    return min(max(asked, 0.0), _LONGEST_PAUSE)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, else Retry-After: seconds or a date (RFC 9110, 10.2.3)."""
    milliseconds, text = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    for value, scale in ((milliseconds, 1000), (text, 1)):
        try:
            seconds = float(value) / scale
        except ValueError:
            continue
        if math.isfinite(seconds):
            return seconds
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return None
