"""Settings as texts and values, and what follows from what is asked for."""

from __future__ import annotations

import pytest

from loco_redis.cli._errors import Refused
from loco_redis.cli.change import _settings as settings
from tests.snapshots import made

BEFORE = settings.of(
    made(capacity=3, set_alpha=0.25, lease_ttl=10.0, version=7, rpm=600, rpm_burst=10)
)


def test_values_are_read_by_their_kind() -> None:
    asked = settings.parse(["capacity=5", "alpha=0.5", "max_waiters=none", "paused=ON", "rpm=0"])
    assert asked == {"capacity": 5, "alpha": 0.5, "max_waiters": None, "paused": True, "rpm": 0}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("capacity", "'capacity' is not KEY=VALUE"),
        ("capacity=three", "capacity must be a whole number, got 'three'"),
        ("capacity=none", "capacity must be a whole number"),
        ("max_waiters=few", "a whole number or none"),
        ("alpha=", "alpha must be a number"),
        ("paused=perhaps", "paused must be on or off"),
        ("speed=9", "unknown setting 'speed': known are capacity, alpha, "),
        ("lease_ttl=9", "lease_ttl cannot be set: known are capacity, "),
        ("version=9", "version cannot be set"),
    ],
)
def test_what_is_no_setting_is_refused(pair: str, message: str) -> None:
    with pytest.raises(Refused, match=message.replace("(", r"\(")):
        settings.parse([pair])


def test_a_setting_twice_is_refused() -> None:
    with pytest.raises(Refused, match="capacity is given twice"):
        settings.parse(["capacity=1", "capacity=2"])


def test_a_new_rate_sets_its_burst() -> None:
    assert settings.planned("llm", BEFORE, {"tpm": 1000}) == {"tpm": 1000, "tpm_burst": 100}
    given = {"tpm": 1000, "tpm_burst": 7}
    assert settings.planned("llm", BEFORE, given) == given


def test_a_burst_alone_goes_with_the_stored_rate() -> None:
    assert settings.planned("llm", BEFORE, {"rpm_burst": 20}) == {"rpm": 600, "rpm_burst": 20}
    with pytest.raises(ValueError, match="tpm_burst=20 without tpm"):
        settings.planned("llm", BEFORE, {"tpm_burst": 20})


def test_values_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="alpha must be a number from 0 to 1, got 7.0"):
        settings.planned("llm", BEFORE, {"alpha": 7.0})


def test_only_what_differs_is_a_change() -> None:
    plan = settings.planned("llm", BEFORE, {"capacity": 3, "rpm_burst": 20, "max_waiters": 5})
    assert settings.changes(BEFORE, plan) == [("max_waiters", None, 5), ("rpm_burst", 10, 20)]


def test_values_are_shown_as_they_are_given() -> None:
    shown = {name: settings.text(value) for name, value in BEFORE.items()}
    again = settings.parse(f"{name}={shown[name]}" for name in settings.CHANGEABLE)
    assert again == {name: BEFORE[name] for name in settings.CHANGEABLE}
