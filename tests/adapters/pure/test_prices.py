"""What calls cost: by list prices, by the user's, by weight."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from dataclasses import asdict

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis import Task
from loco_redis.adapters.prices import Pricing, estimate
from loco_redis.adapters.usage import Usage
from loco_redis.adapters.weights import Estimate

_ANTHROPIC = "https://api.anthropic.com/v1/messages?beta=true"
_USAGE = Usage(1000, 20_000, 3000, 400, 100)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `prices` is not installed."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)


def _per_token(model: str) -> dict[str, float]:
    """The library's prices of single tokens."""
    prices = genai_prices.calc_price(genai_prices.Usage(input_tokens=1), model).model_price
    names = ("input", "cache_read", "cache_write", "output")
    return {name: float(getattr(prices, f"{name}_mtok", None) or 0) / 1e6 for name in names}


@pytest.mark.parametrize("url", ["", _ANTHROPIC, "http://127.0.0.1:8000/v1/messages"])
def test_dollars_of_an_anthropic_call_with_cache(url: str) -> None:
    """By the provider's URL, or by the model's name where the URL is nobody's."""
    price = _per_token("claude-haiku-4-5")
    # Their published ratios: a cache read costs a tenth of the input, a write a quarter more.
    assert price["cache_read"] == pytest.approx(price["input"] * 0.1)
    assert price["cache_write"] == pytest.approx(price["input"] * 1.25)
    dollars = 1000 * price["input"] + 20_000 * price["cache_read"]
    dollars += 3000 * price["cache_write"] + 400 * price["output"]
    cost = Pricing(True).cost("claude-haiku-4-5-20251001", _USAGE, url)
    assert cost == pytest.approx(dollars)
    assert 0.0005 < cost < 0.5


def test_dollars_of_an_openai_call_with_cache() -> None:
    price = _per_token("gpt-4o")
    assert price["cache_read"] == pytest.approx(price["input"] * 0.5)
    usage = Usage.of_openai(
        {
            "prompt_tokens": 3000,
            "prompt_tokens_details": {"cached_tokens": 2000},
            "completion_tokens": 100,
        }
    )
    dollars = 1000 * price["input"] + 2000 * price["cache_read"] + 100 * price["output"]
    cost = Pricing().cost("gpt-4o", usage, "https://api.openai.com/v1/chat/completions")
    assert cost == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("model", "same"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307"),
        ("claude-opus-4-1@20250805", "claude-opus-4-1"),
    ],
)
def test_names_of_resellers_have_prices(model: str, same: str) -> None:
    pricing = Pricing(True)
    usage = Usage(input_tokens=1000, output_tokens=100)
    assert pricing.cost(model, usage) == pytest.approx(pricing.cost(same, usage))


def test_embeddings_cost_next_to_nothing() -> None:
    assert 0 < Pricing(True).cost("text-embedding-3-small", Usage(input_tokens=1000)) < 0.001


def test_models_without_a_price_are_counted_by_weight(caplog: pytest.LogCaptureFixture) -> None:
    """In dollars, in proportion to those that have one. With a warning, once for each."""
    pricing, usage = Pricing(True), Usage(input_tokens=1000, output_tokens=1000)
    costs = [pricing.cost("haiku-of-tomorrow", usage) for _ in range(2)]
    assert costs == [0.006, 0.006]
    assert pricing.cost("claude-haiku-4-5", usage) == pytest.approx(0.006, rel=0.5)
    (record,) = caplog.records
    assert record.getMessage() == (
        "'haiku-of-tomorrow' is not known to genai-prices: its cost is counted by weight, not price"
    )


@pytest.mark.usefixtures("missing")
def test_without_the_extra(caplog: pytest.LogCaptureFixture) -> None:
    """Asked for, its absence is an error that says what to do; else weights are the unit."""
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'loco-redis\[prices\]'"):
        Pricing(True)
    assert Pricing().cost("claude-opus-4-1", Usage(input_tokens=1000)) == 5
    assert not caplog.records


def test_prices_are_imported_when_they_are_used() -> None:
    """They take a tenth of a second."""
    code = (
        "import sys; from loco_redis.adapters.prices import Pricing; pricing = Pricing();"
        "Pricing(False).estimate('gpt-4o', 1, 1); assert 'genai_prices' not in sys.modules;"
        "pricing.estimate('gpt-4o', 1, 1); assert 'genai_prices' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_weights_on_request() -> None:
    pricing = Pricing(False)
    assert pricing.cost("claude-sonnet-4", Usage(500, 250, 0, 250)) == 2
    assert pricing.estimate("claude-sonnet-4", 500, 500) == Estimate(2, 1000, 2)


def test_a_function_of_the_users(caplog: pytest.LogCaptureFixture) -> None:
    """None from it: by weight, and one warning."""
    asked: list[tuple[str, Usage]] = []

    def price(model: str, usage: Usage) -> float | None:
        asked.append((model, usage))
        return 0.25 if model == "mine" else None

    pricing = Pricing(price)
    assert pricing.cost("mine", _USAGE) == 0.25
    assert asked == [("mine", _USAGE)]
    assert [pricing.cost("my-haiku", Usage(1000)) for _ in range(2)] == [1, 1]
    (record,) = caplog.records
    assert "'my-haiku' is not known to the given prices" in record.getMessage()


@pytest.mark.parametrize("returned", [-1, math.nan, math.inf, "1"])
def test_costs_that_are_none_are_refused(returned: float) -> None:
    with pytest.raises(ValueError, match="the price of a call to 'mine' must be a number from 0"):
        Pricing(lambda model, usage: returned).cost("mine", _USAGE)


@pytest.mark.parametrize("prices", ["genai", 1, {}])
def test_what_prices_may_be(prices: object) -> None:
    with pytest.raises(ValueError, match=f"prices must be True, False, .* got {prices!r}"):
        Pricing(prices)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cost", "reserved"),
    [(0, 0), (1e-12, 0.001), (0.001, 0.001), (0.0010001, 0.002), (0.3, 0.3), (1.1 + 2.2, 3.3)],
)
def test_estimates_are_rounded_up(cost: float, reserved: float) -> None:
    """To the thousandths that Redis keeps: what costs anything reserves something."""
    assert Pricing(lambda model, usage: cost).estimate("mine", 1, 1).cost == reserved


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=60))
def test_rounded_costs_come_to_their_sum(calls: list[tuple[str, float]]) -> None:
    """For each agent, to half a thousandth."""
    pricing = Pricing(False)
    spent, settled = {"a": 0.0, "b": 0.0}, {"a": 0.0, "b": 0.0}
    for agent, cost in calls:
        spent[agent] += cost
        rounded = pricing.rounded(agent, cost)
        assert rounded >= 0
        assert rounded == round(rounded, 3)
        settled[agent] += rounded
    assert settled == pytest.approx(spent, abs=0.000501)


def test_rounding_in_many_threads() -> None:
    """No remainder is lost, nor counted twice."""
    pricing, settled = Pricing(False), []

    def calls() -> None:
        settled.extend([pricing.rounded("a", 0.0001) for _ in range(2000)])

    threads = [threading.Thread(target=calls) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(settled) == pytest.approx(1, abs=0.0006)


def test_remainders_of_countless_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: those who have not called for longest are forgotten."""
    monkeypatch.setattr("loco_redis.adapters.prices._MOST_AGENTS", 2)
    pricing = Pricing(False)
    for agent in ("a", "b", "a", "c"):
        pricing.rounded(agent, 0.0003)
    assert list(pricing._remainders) == ["a", "c"]


def test_estimate_makes_a_task() -> None:
    """The way to use it by hand."""
    made = estimate("claude-opus-4-1", 1000, 1000, prices=False)
    assert made == Estimate(weight=5, tokens=2000, cost=10)
    task = Task(**asdict(made))
    assert (task.weight, task.tokens, task.cost) == (5, 2000, 10)
    assert estimate("gpt-4o", 1000, 0).cost < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 1, 1), "model must be the name of a model, got ''"),
        ((None, 1, 1), "model must be the name of a model, got None"),
        (("gpt-4o", -1, 1), "input_tokens must be an int from 0 to 100,000,000, got -1"),
        (("gpt-4o", 1, 1.5), "max_output_tokens must be an int from 0 .*, got 1.5"),
        (("gpt-4o", True, 1), "input_tokens must be an int from 0 .*, got True"),
    ],
)
def test_bad_arguments_of_estimate(arguments: tuple[str, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate(*arguments)
