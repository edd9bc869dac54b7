"""The settings that an operator may read and change: their names, texts and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loco_redis._validate import shown
from loco_redis.cli._errors import Refused
from loco_redis.config import Settings
from loco_redis.models import SharedResource
from loco_redis.snapshots import Snapshot

Value = int | float | bool | None

_NO_LIMIT = "none"
_SWITCHES = {"on": True, "true": True, "off": False, "false": False}
_INTEGERS = ("capacity", "max_waiters", "rpm", "rpm_burst", "tpm", "tpm_burst", "events")
_BOOLEANS = ("adaptive_capacity", "auto_tune", "paused")
_RATES = ("rpm", "tpm")
_READ_ONLY = ("lease_ttl", "version")

#: Those that `config set` takes, in the order in which they are shown.
CHANGEABLE = (
    *("capacity", "alpha", "max_waiters", "rpm", "rpm_burst", "tpm", "tpm_burst"),
    *("adaptive_capacity", "auto_tune", "events", "paused"),
)
ALL = (*CHANGEABLE, *_READ_ONLY)


def of(stored: Snapshot) -> dict[str, Value]:
    """Name -> value, in the order of `ALL`; alpha as it was set."""
    return {name: getattr(stored, name) for name in ALL} | {"alpha": stored.set_alpha}


def text(value: Value) -> str:
    """As `config set` takes it."""
    if value is None:
        return _NO_LIMIT
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse(pairs: Iterable[str]) -> dict[str, Value]:
    """`KEY=VALUE` texts as values. Raises Refused."""
    found: dict[str, Value] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Refused(f"{shown(pair)} is not KEY=VALUE, such as capacity=3")
        if name in _READ_ONLY:
            raise Refused(f"{name} cannot be set: known are {', '.join(CHANGEABLE)}")
        if name not in CHANGEABLE:
            raise Refused(f"unknown setting {shown(name)}: known are {', '.join(CHANGEABLE)}")
        if name in found:
            raise Refused(f"{name} is given twice")
        found[name] = _value(name, value.strip().lower())
    return found


def _value(name: str, value: str) -> Value:
    if name in _BOOLEANS:
        if value not in _SWITCHES:
            raise Refused(f"{name} must be on or off, got {shown(value)}")
        return _SWITCHES[value]
    if name == "max_waiters" and value == _NO_LIMIT:
        return None
    try:
        return int(value) if name in _INTEGERS else float(value)
    except ValueError:
        kind = "a whole number" if name in _INTEGERS else "a number"
        also = f" or {_NO_LIMIT}" if name == "max_waiters" else ""
        raise Refused(f"{name} must be {kind}{also}, got {shown(value)}") from None


def planned(name: str, before: Mapping[str, Value], asked: Mapping[str, Value]) -> dict[str, Value]:
    """What is asked for, checked, with what follows from it: a new rate sets its burst, too, and a
    burst alone goes with the rate that there is.

    Raises:
        ValueError: out of range, in one line.
    """
    rates = {
        key: asked.get(key)
        for rate in _RATES
        for key in (rate, f"{rate}_burst")
        if rate in asked or f"{rate}_burst" in asked
    }
    for rate in _RATES:
        if asked.get(f"{rate}_burst") is not None and rate not in asked:
            rates[rate] = before[rate]
    resource = SharedResource(name, None, **rates)  # type: ignore[arg-type]  # checked there
    told = {key: getattr(resource, key) for key in rates}
    plan = {key: asked[key] for key in CHANGEABLE if key in asked} | {
        key: value for key, value in told.items() if value is not None
    }
    try:
        Settings.of(name=name, **{key: value for key, value in plan.items() if key != "paused"})
    except ValueError as error:
        # What opens a scheduler may leave a setting out; here it is only named to be set.
        raise ValueError(str(error).replace(", or None to adopt", "")) from None
    return plan


def changes(
    before: Mapping[str, Value], after: Mapping[str, Value]
) -> list[tuple[str, Value, Value]]:
    """Those that differ: name, value before, value after."""
    differ = [key for key in ALL if key in after and before[key] != after[key]]
    return [(key, before[key], after[key]) for key in differ]
