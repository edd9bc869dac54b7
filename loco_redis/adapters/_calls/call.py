"""A call of a model: who makes it, what it is expected to take, what it has come to. No I/O."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypedDict

from loco_redis import _validate as validate
from loco_redis.adapters.prices import Price, Pricing
from loco_redis.adapters.weights import Estimate
from loco_redis.context import DEFAULT_AGENT, current
from loco_redis.models import Task

# What a provider hangs on a model's name: `-20250805`, `-2025-08-07`, `@20250805`, `-v1:0`.
_VERSION = re.compile(r"(?:[-@:](?:v?[0-9]+|latest))*")


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

    @property
    def names_agent(self) -> bool:
        """Whether `agent_id` was given."""
        return self.agent_id != DEFAULT_AGENT

    def fallback_of(self, model: str) -> str | None:
        """By the model's name, else by that of which it is a dated or numbered version: for
        `claude-opus-4-1-20250805`, but `gpt-5-nano` is no version of `gpt-5`."""
        keys = [key for key in self.fallback_models if _is_version(model, key)]
        return self.fallback_models[max(keys, key=len)] if keys else None


def _is_version(model: str, of: str) -> bool:
    return model.startswith(of) and _VERSION.fullmatch(model, len(of)) is not None


class Call(ABC):
    """Says what waits for the slot; is told how it went; then it knows what to settle.

    Attributes:
        options: of the adapter.
        agent_id: who calls.
        status: of the provider's answer, once it is known; 0 before.
    """

    def __init__(self, options: CallOptions, agent_id: str | None = None) -> None:
        """`agent_id`: who calls, if the request says it; None: as the context or the options do."""
        self.options = options
        self._caller = current()
        by_context = self._caller.agent_id if self._caller is not None else options.agent_id
        self.agent_id = agent_id if agent_id is not None else by_context
        self.status = 0

    @property
    @abstractmethod
    def model(self) -> str:
        """As the provider names it; "" where that is not known."""

    @property
    @abstractmethod
    def task_type(self) -> str:
        """Of its tasks: a format or a framework, and the model: `anthropic:claude-opus-4-1`."""

    @property
    @abstractmethod
    def _estimate(self) -> Estimate | None:
        """What it takes at most; None: that is not known."""

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

    @abstractmethod
    def downgrade(self) -> bool:
        """Turn to the cheaper model; False if there is none."""

    @abstractmethod
    def ask_usage(self) -> None:
        """Make the answer report what it uses, where it would not."""

    @property
    def failed(self) -> bool:
        """The provider has answered by an error."""
        return self.status >= 400

    @abstractmethod
    def bill(self) -> tuple[float, int] | None:
        """Cost (not rounded) and tokens; None when the answer says nothing: as estimated then.

        Nothing for a call that the provider has refused or never answered.
        """
