"""What calls cost: in dollars by the list prices of genai-prices (MIT, the extra `prices`), by a
function of the user's, or in the unit of `weights.cost_in_weights`.
"""

from __future__ import annotations

import logging
import math
import re
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters.usage import MOST_TOKENS, Usage
from loco_redis.adapters.weights import Estimate, Once, cost_in_weights, weight_of

_log = logging.getLogger("loco_redis")

#: (model, what the call used) -> its cost; None: the price is not known.
Price = Callable[[str, Usage], float | None]

#: Of a thousand tokens of a haiku-class model, half of them output (claude-haiku-4-5).
DOLLARS_PER_WEIGHT = 0.003

_MOST_AGENTS = 10_000

_by_weight = Once()


class Pricing:
    """What calls cost, before and after. Safe to use from many threads.

    Args:
        prices: True: genai-prices, in dollars. False: by weight, with no prices. None: genai-prices
            if it is installed, else by weight. A function: the user's, in any unit.

    A model whose price is not known is counted by weight, with a warning once for each model: with
    genai-prices at DOLLARS_PER_WEIGHT, so that it stays in proportion to the others.

    Raises:
        ValueError: `prices` is none of these.
        ModuleNotFoundError: True, and genai-prices is not installed; says how to install it.
    """

    def __init__(self, prices: bool | Price | None = None) -> None:
        if not (prices is None or isinstance(prices, bool) or callable(prices)):
            raise ValueError(
                "prices must be True, False, None or a function of a model and its Usage, "
                f"got {validate.shown(prices)}"
            )
        if prices is True:
            need("genai_prices", "prices")
        self._prices = prices
        self._remainders: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def estimate(
        self, model: str, prompt_tokens: int, max_output_tokens: int, url: str = ""
    ) -> Estimate:
        """What a call takes at most, its cost rounded up to the thousandths that Redis keeps: what
        costs anything reserves something."""
        usage = Usage(input_tokens=prompt_tokens, output_tokens=max_output_tokens)
        tokens = usage.total_tokens
        cost = _rounded_up(self.cost(model, usage, url))
        return Estimate(weight_of(model, tokens), tokens, cost)

    def cost(self, model: str, usage: Usage, url: str = "") -> float:
        """What a call has cost, not rounded. `url`: where it went, which may tell its provider.

        Raises:
            ValueError: a function of the user's returned no cost from 0 to 1e12.
        """
        price = self._price(model, usage, url)
        if price is not None:
            return price
        by_weight = cost_in_weights(model, usage.total_tokens)
        return by_weight * DOLLARS_PER_WEIGHT if self._in_dollars else by_weight

    def rounded(self, agent_id: str, cost: float) -> float:
        """The thousandths of `cost`, to be settled. What rounding leaves is carried to the agent's
        next call, so that many calls of less than a thousandth come to their true sum."""
        with self._lock:
            total = cost + self._remainders.pop(agent_id, 0.0)
            settled = max(round(total * validate.THOUSAND), 0) / validate.THOUSAND
            self._remainders[agent_id] = total - settled
            if len(self._remainders) > _MOST_AGENTS:
                self._remainders.popitem(last=False)
        return settled

    def _price(self, model: str, usage: Usage, url: str) -> float | None:
        prices = self._prices
        if callable(prices):
            price, source = prices(model, usage), "the given prices"
            if price is not None:
                what = f"the price of a call to {validate.shown(model)}"
                return validate.number(what, price, 0, validate.MAX_COST)
        elif (library := self._library()) is not None:
            price, source = _list_price(library, model, usage, url), "genai-prices"
        else:
            return None
        if price is None and model and _by_weight.first(f"{source}: {model[:200]}"):
            text = "%s is not known to %s: its cost is counted by weight, not price"
            _log.warning(text, validate.shown(model), source)
        return price

    @property
    def _in_dollars(self) -> bool:
        return not callable(self._prices) and self._library() is not None

    def _library(self) -> Any:
        """genai-prices, imported when it is first used: that takes a tenth of a second."""
        if self._prices is False:
            return None
        try:
            return need("genai_prices", "prices")
        except ModuleNotFoundError:
            self._prices = False
            return None


def estimate(
    model: str,
    input_tokens: int,
    max_output_tokens: int,
    prices: bool | Price | None = None,
) -> Estimate:
    """What a call takes at most: weight, tokens and cost. `prices`: as of `Pricing`.

        task = Task(**asdict(estimate("claude-haiku-4-5", 2_000, 500)))

    Raises:
        ValueError: an empty model, or tokens that are no ints from 0 to 100,000,000.
    """
    if not isinstance(model, str) or not model.strip():
        raise ValueError(f"model must be the name of a model, got {validate.shown(model)}")
    validate.count("input_tokens", input_tokens, 0, MOST_TOKENS)
    validate.count("max_output_tokens", max_output_tokens, 0, MOST_TOKENS)
    return Pricing(prices).estimate(model, input_tokens, max_output_tokens)


def _list_price(library: Any, model: str, usage: Usage, url: str) -> float | None:
    """In dollars: by the provider's URL, else by the model's name."""
    used = library.Usage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens or None,
        output_tokens=usage.output_tokens,
    )
    by_url = [{"provider_api_url": url.partition("?")[0]}] if url else []
    for by in (*by_url, {}, {"provider_id": _provider_of(model)}):
        try:
            return float(library.calc_price(used, model, **by).total_price)
        except (LookupError, ValueError):
            continue
    return None


def _provider_of(model: str) -> str:
    """Of models that genai-prices does not find by their names alone: OpenRouter's
    `openai/gpt-4o`, Bedrock's `us.anthropic.claude-3-haiku`, `text-embedding-3-small`."""
    if "/" in model:
        return "openrouter"
    return "aws" if re.match(r"[a-z-]+\.[a-z]", model) else "openai"


def _rounded_up(cost: float) -> float:
    """To thousandths, and not beyond what is one but for the arithmetic of floats."""
    least = 1 if cost > 0 else 0
    return max(math.ceil(cost * validate.THOUSAND - 1e-9), least) / validate.THOUSAND
