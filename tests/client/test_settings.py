"""Settings and arguments are checked before anything is sent; each mistake gets one clear line."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis import _validate
from loco_redis.config import Settings

NAN, INF = math.nan, math.inf


def test_defaults() -> None:
    """What is stored in Redis is adopted unless asked for; the rest has documented defaults."""
    settings = Settings.of(name="llm_api")
    assert (settings.capacity, settings.alpha, settings.lease_ttl) == (None, None, None)
    assert settings.max_waiters is None
    assert (settings.max_stall, settings.backend_timeout) == (60.0, 30.0)
    assert (settings.on_lost, settings.strict) == ("cancel", False)


@pytest.mark.parametrize(
    ("preset", "alpha"), [("latency", 0.0), ("balanced", 0.25), ("throughput", 0.5)]
)
def test_presets(preset: str, alpha: float) -> None:
    """optimize_for is a name for an alpha."""
    assert Settings.of(name="r", optimize_for=preset).alpha == alpha


@pytest.mark.parametrize("alpha", [0, 0.25, 0.5])
def test_fair_alpha_is_silent(alpha: float) -> None:
    """Up to 0.5 nobody starves and nobody is warned."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Settings.of(name="r", alpha=alpha).alpha == alpha


def test_starving_alpha_warns() -> None:
    """Above 0.5 is allowed by number, with a warning that it starves."""
    with pytest.warns(UserWarning, match="alpha=0.75 starves"):
        assert Settings.of(name="r", alpha=0.75).alpha == 0.75


def test_paused_is_a_capacity() -> None:
    """A capacity of 0 means paused and is not None."""
    assert Settings.of(name="r", capacity=0).capacity == 0


@pytest.mark.parametrize(
    ("option", "values"),
    {
        "name": ["", "a b", "a" * 65, "a:b", "{a}", "a\n", "é", 7, None, b"a"],
        "capacity": [-1, True, 1.5, "3", NAN, 10**30],
        "alpha": [-0.01, 1.01, NAN, INF, "0.3", True],
        "optimize_for": ["speed", 0.3, ["latency"], True],
        "max_waiters": [-1, False, 0.5, "9"],
        "lease_ttl": [0, 0.1, 3601, NAN, INF, -5, "10", True],
        "max_stall": [0, -1, NAN, INF, None, True],
        "on_lost": ["ignore", None, True],
        "strict": [1, "yes", None],
        "backend_timeout": [0, -1, NAN, INF, None],
    }.items(),
)
def test_bad_option(option: str, values: list[Any]) -> None:
    """A bad value gives one line that names the option, the rule and the value."""
    for value in values:
        with pytest.raises(ValueError, match=f"^{option} must be .+, got ") as caught:
            Settings.of(**{"name": "r", option: value})
        assert type(caught.value) is ValueError
        assert str(caught.value).endswith(repr(value))
        assert "\n" not in str(caught.value)


def test_both_alpha_and_preset() -> None:
    """alpha and optimize_for exclude each other, even when they agree."""
    with pytest.raises(ValueError, match=r"^both alpha=0.0 and optimize_for='latency': give one"):
        Settings.of(name="r", alpha=0.0, optimize_for="latency")


def test_unknown_and_missing_options() -> None:
    """A misspelt option is named together with the known ones; a missing name is named."""
    with pytest.raises(ValueError, match="^unknown option 'capcity': known are name, capacity"):
        Settings.of(name="r", capcity=3)
    with pytest.raises(ValueError, match="^name is missing"):
        Settings.of()


def test_settings_are_frozen() -> None:
    """Settings cannot be changed after they were checked."""
    with pytest.raises(ValueError, match="frozen"):
        Settings.of(name="r").capacity = 5  # type: ignore[misc]


@given(st.text(min_size=1, max_size=128).filter(lambda s: "\0" not in s))
def test_agent_ids_round_trip(agent: str) -> None:
    """Any Unicode text without NUL is an agent id, unchanged."""
    if any("\ud800" <= c <= "\udfff" for c in agent):
        with pytest.raises(ValueError, match="lone surrogate"):
            _validate.agent_id(agent)
    else:
        assert _validate.agent_id(agent).decode() == agent


def test_agent_id_length_counts_bytes() -> None:
    """The limit of 512 is in UTF-8 bytes."""
    assert _validate.agent_id("é" * 256) == "é".encode() * 256
    with pytest.raises(ValueError, match="has 514 UTF-8 bytes"):
        _validate.agent_id("é" * 257)


@pytest.mark.parametrize("agent", ["", "a\0b", "\ud800", None, b"a", 7, "x" * 10**6])
def test_bad_agent_id(agent: Any) -> None:
    """Hostile agent ids are refused by one short line."""
    with pytest.raises(ValueError, match="^agent id ") as caught:
        _validate.agent_id(agent)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("check", "value", "thousandths"),
    [
        (_validate.weight, 1, 1000),
        (_validate.weight, 2.5, 2500),
        (_validate.weight, 1.0004, 1000),
        (_validate.weight, Fraction(7, 2), 3500),
        (_validate.weight, 1e9, 10**12),
        (_validate.cost, 0, 0),
        (_validate.cost, 0.1 + 0.2, 300),
        (_validate.cost, 1e12, 10**15),
    ],
)
def test_thousandths(check: Callable[[Any], int], value: Any, thousandths: int) -> None:
    """Weights and costs travel as whole thousandths."""
    assert check(value) == thousandths
    assert type(check(value)) is int


@pytest.mark.parametrize("value", [NAN, INF, -INF, -1, True, False, None, "2", 1j, 10**400, 1.1e12])
def test_bad_numbers(value: Any) -> None:
    """What is not a number in range is refused, by name."""
    with pytest.raises(ValueError, match="^weight must be a number from 1 to 1e"):
        _validate.weight(value)
    with pytest.raises(ValueError, match="^cost must be a number from 0 to 1e"):
        _validate.cost(value)


def test_weight_below_one() -> None:
    """A weight is at least 1, before rounding."""
    with pytest.raises(ValueError, match=r"got 0\.9999$"):
        _validate.weight(0.9999)


def test_payload() -> None:
    """A payload is up to 1 MiB of bytes, or nothing."""
    assert _validate.payload(None) is None
    assert _validate.payload(bytearray(b"ab")) == b"ab"
    assert _validate.payload(bytes(1 << 20)) == bytes(1 << 20)
    with pytest.raises(ValueError, match="payload has 1048577 bytes"):
        _validate.payload(bytes((1 << 20) + 1))
    with pytest.raises(ValueError, match="payload must be bytes or None, got 'text'"):
        _validate.payload("text")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a\n", "a}", None])
def test_resource_name(name: Any) -> None:
    """A resource name has few characters, because it stands in key names."""
    assert _validate.resource_name("llm_api-2") == "llm_api-2"
    with pytest.raises(ValueError, match="^resource name must be 1 to 64 characters"):
        _validate.resource_name(name)
