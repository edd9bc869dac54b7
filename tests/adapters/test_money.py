"""What calls are charged with, and what budgets make of them."""

from __future__ import annotations

import logging
from typing import Any

import anthropic
import pytest

import loco_redis
from loco_redis import AsyncLOCOScheduler, BudgetExceededError, BudgetPolicy
from loco_redis.adapters import AnthropicAdapter, Pricing, Usage, estimate
from loco_redis.adapters._calls.call import CallOptions
from loco_redis.testing.fake_provider import FakeProvider, Reply
from loco_redis.testing.fake_provider.billed import Billed
from tests.adapters.async_ways import KEY
from tests.schedulers import Schedulers

AGENT = "analyst"
OPUS, HAIKU = "claude-opus-4-1", "claude-haiku-4-5"


def _ask(model: str = OPUS, max_tokens: int = 100) -> dict[str, Any]:
    messages = [{"role": "user", "content": "What now?"}]
    return {"model": model, "max_tokens": max_tokens, "messages": messages}


def _adapter(
    scheduler: AsyncLOCOScheduler, provider: FakeProvider, **options: Any
) -> AnthropicAdapter:
    client = anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key=KEY, max_retries=0)
    return AnthropicAdapter(scheduler, client, agent_id=AGENT, **options)


async def test_downgrade(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Over the budget the cheaper model is called, paid for, and named in the figures."""
    budget = BudgetPolicy(default_limit=0.01, on_exceeded="downgrade")
    scheduler = schedulers(budget=budget)
    adapter = _adapter(scheduler, provider, prices=True, fallback_models={OPUS: HAIKU})
    provider.default = Reply(billed=Billed(OPUS, 100, 0, 0, 100, 0))
    for model in (f"{OPUS}-20250805", f"{OPUS}-20250805"):
        await adapter.create(**_ask(model))
    asked = [request.body["model"] for request in provider.requests]
    assert asked == [f"{OPUS}-20250805", HAIKU]
    pricing, usage = Pricing(True), Usage(input_tokens=100, output_tokens=100)
    costs = await scheduler.metrics.attribution.cost_by_model()
    assert costs[HAIKU] == pytest.approx(pricing.cost(HAIKU, usage), abs=0.001)
    assert costs[f"{OPUS}-20250805"] == pytest.approx(pricing.cost(OPUS, usage), abs=0.001)


async def test_downgrade_without_a_cheaper_model(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """A model that has none goes on as it is."""
    scheduler = schedulers(budget=BudgetPolicy(default_limit=0, on_exceeded="downgrade"))
    adapter = _adapter(scheduler, provider, fallback_models={"gpt-5": "gpt-5-nano"})
    await adapter.create(**_ask())
    assert [request.body["model"] for request in provider.requests] == [OPUS]


@pytest.mark.parametrize(
    ("model", "fallback"),
    [
        ("gpt-5", "cheap"),
        ("gpt-5-2025-08-07", "cheap"),
        ("gpt-5-latest", "cheap"),
        ("gpt-5-nano", None),
        ("gpt-5.5", None),
        ("gpt-5-mini-2025-08-07", "cheaper"),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "c"),
        ("claude-opus-4-1@20250805", "b"),
        ("", None),
    ],
)
def test_what_stands_for_a_model(model: str, fallback: str | None) -> None:
    """A key stands for its dated versions, and not for its smaller sisters."""
    models = {
        "gpt-5": "cheap",
        "gpt-5-mini": "cheaper",
        "claude-opus-4-1": "b",
        "us.anthropic.claude-opus-4-1": "c",
    }
    assert CallOptions.of(fallback_models=models).fallback_of(model) == fallback


async def test_a_budget_in_dollars(provider: FakeProvider, schedulers: Schedulers) -> None:
    """An estimate is reserved, the true price is spent, and what is left refuses the next."""
    pricing, usage = Pricing(True), Usage(input_tokens=1000, output_tokens=50)
    dollars = pricing.cost(OPUS, usage)
    most = estimate(OPUS, 3, 100, prices=True).cost
    scheduler = schedulers(budget=BudgetPolicy(default_limit=dollars + most - 0.001))
    adapter = _adapter(scheduler, provider, prices=True)
    provider.default = Reply(billed=Billed(OPUS, 1000, 0, 0, 50, 0))
    await adapter.create(**_ask())
    assert scheduler.budget is not None
    assert await scheduler.budget.spent(AGENT) == pytest.approx(dollars, abs=0.001)
    with pytest.raises(BudgetExceededError):
        await adapter.create(**_ask())
    assert len(provider.requests) == 1


async def test_many_small_calls(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Calls of less than a thousandth of a dollar come to their true sum."""
    scheduler = schedulers()
    adapter = _adapter(scheduler, provider, prices=lambda model, usage: 0.0003)
    for _ in range(40):
        await adapter.create(**_ask(HAIKU))
    assert await scheduler.metrics.total_cost() == pytest.approx(0.012)


async def test_without_prices(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The cost is the model's weight for each thousand tokens."""
    scheduler = schedulers()
    provider.default = Reply(billed=Billed(OPUS, 1000, 500, 300, 200, 100))
    await _adapter(scheduler, provider, prices=False).create(**_ask())
    assert await scheduler.metrics.total_cost() == 5 * 2.0
    assert await scheduler.metrics.actual_tokens_by_agent() == {AGENT: 2000}
    assert await scheduler.metrics.empirical_weight(f"anthropic:{OPUS}") == 2.0


@pytest.mark.parametrize("when", ["before", "after"])
async def test_prices_that_raise(
    provider: FakeProvider, schedulers: Schedulers, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    """Before the call its caller hears of it; after it the estimate is charged."""
    scheduler, asked = schedulers(), []

    def price(model: str, usage: Usage) -> float:
        asked.append(usage)
        if when == "before" or len(asked) == 2:
            raise KeyError("no price")
        return 0.25

    adapter = _adapter(scheduler, provider, prices=price)
    if when == "before":
        with pytest.raises(KeyError):
            await adapter.create(**_ask())
        assert provider.requests == []
        return
    with caplog.at_level(logging.ERROR, "loco_redis"):
        await adapter.create(**_ask())
    assert "charged as estimated" in caplog.text
    assert await scheduler.metrics.total_cost() == 0.25


async def test_whose_costs_they_are(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The context names team, workflow and session."""
    scheduler = schedulers()
    adapter = _adapter(scheduler, provider, prices=lambda model, usage: 2.0)
    with loco_redis.agent("a", team="research", workflow="weekly", session_id="s"):
        await adapter.create(**_ask())
    attribution = scheduler.metrics.attribution
    assert await attribution.cost_by_team() == {"research": 2.0}
    assert await attribution.cost_by_workflow() == {"weekly": 2.0}
    assert await scheduler.metrics.cost_by_session() == {"s": 2.0}
    assert await scheduler.metrics.cost_by_agent() == {"a": 2.0}
