"""Findings from what a server says of itself, as pure values."""

from __future__ import annotations

import pytest

from loco_redis.observe import condition, diagnosis
from loco_redis.observe.diagnosis import Unknown
from loco_redis.snapshots import SessionSnapshot, Snapshot
from tests.snapshots import made

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("info", "state", "text"),
    [
        ({"redis_version": "6.0.16"}, "wrong", "Redis 6.0.16"),
        ({"redis_version": "6.2.0"}, "ok", "Redis 6.2.0"),
        ({"redis_version": "255.255.255"}, "ok", "Redis 255.255.255"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "ok", "Valkey 9.1.2"),
        ({}, "wrong", "Redis 0"),
    ],
)
def test_versions(info: dict[str, object], state: str, text: str) -> None:
    found = diagnosis.version(info)
    assert (found.state, found.text.partition(" (")[0]) == (state, text)


@pytest.mark.parametrize(
    ("info", "state"),
    [
        ({"aof_enabled": 1}, "ok"),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "wrong"),
        ({"aof_enabled": 0, "rdb_last_bgsave_status": "err"}, "wrong"),
        ({"aof_enabled": 0, "rdb_last_bgsave_status": "ok"}, "note"),
    ],
)
def test_persistence(info: dict[str, object], state: str) -> None:
    assert diagnosis.persistence(info, "everysec").state == state
    assert diagnosis.persistence(info, Unknown("not told")).state == state


@pytest.mark.parametrize(
    ("used", "most", "state"),
    [(50, 0, "ok"), (50, 100, "ok"), (80, 100, "note"), (95, 100, "wrong")],
)
def test_memory(used: int, most: int, state: str) -> None:
    """Of maxmemory, where there is one."""
    assert diagnosis.memory({"used_memory": used, "maxmemory": most}).state == state


@pytest.mark.parametrize(
    ("policy", "state"),
    [("noeviction", "ok"), ("volatile-lru", "wrong"), ("allkeys-lru", "wrong")],
)
def test_eviction(policy: str, state: str) -> None:
    assert diagnosis.eviction(policy).state == state


def test_what_is_not_told_is_unknown() -> None:
    """By INFO; the eviction policy may still be known by CONFIG."""
    found = diagnosis.server(Unknown("needs +info"), "noeviction", "always")
    assert [one.text for one in found if one.check != "eviction"] == ["unknown: needs +info"] * 5
    assert diagnosis.server({}, "allkeys-lru", "always")[2].state == "wrong"


def test_roles() -> None:
    assert diagnosis.role({"role": "master", "loading": 1}).state == "wrong"
    assert diagnosis.role({"role": "slave", "master_host": "h", "master_port": 1}).state == "wrong"


def test_latency_and_clock() -> None:
    """A slow median or one slow answer in twenty; a clock that is a second off."""
    assert diagnosis.latency([0.001] * 20).state == "ok"
    assert diagnosis.latency([0.001] * 19 + [0.2]).state == "note"
    assert diagnosis.latency([0.006] * 20).state == "note"
    assert [diagnosis.clock(ahead).state for ahead in (0.9, 1.1, -1.1)] == ["ok", "note", "note"]
    assert "3 min behind the server" in diagnosis.clock(-180.0).text


def test_scripts_that_are_not_loaded() -> None:
    assert diagnosis.scripts([True, True]).state == "ok"
    assert diagnosis.scripts([1, 0]).text == "1 of 2 of this version are loaded"


@pytest.mark.parametrize(
    ("count", "text"), [(5, "5 B"), (999_700, "1 MB"), (4_160_000, "4.16 MB"), (2e9, "2.0 GB")]
)
def test_sizes(count: float, text: str) -> None:
    assert diagnosis.size(count) == text


def snapshot(**changes: object) -> Snapshot:
    """A quiet resource of capacity 2 with the given changes."""
    known = {"capacity": 2, "effective_capacity": 2, "lease_ttl": 10.0, "server_time": NOW}
    return made(**known | {"born": NOW - 100.0} | changes)


def counters(raw: float, vnow: float = 90.0, fence: float = 0.0) -> bytes:
    fields = [0] * 13
    fields[3], fields[10], fields[11] = int(fence * 1e6), int(raw * 1e6), int(vnow * 1e6)
    return b"|".join(b"%d" % field for field in fields) + b"|"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ok"),
        ({"waiting": 1, "live_sessions": 1}, "ok"),
        ({"waiting": 1, "live_sessions": 0}, "wrong"),
        ({"paused": True, "effective_capacity": 0}, "note"),
        ({"capacity": 0, "effective_capacity": 0}, "note"),
        ({"held": 3}, "note"),
        ({"effective_capacity": 1}, "note"),
    ],
)
def test_work(changes: dict[str, object], state: str) -> None:
    """What stands still is worth a note; waiters whom nobody waits for are wrong."""
    assert condition.work(snapshot(**changes)).state == state


@pytest.mark.parametrize(
    ("quiet", "left", "text"),
    [
        (1.0, 5.0, "1 alive"),
        (4.0, 0.0, "1 of 1 are stale"),
        (6.0, 3.0, "1 alive"),
        (300.0, 5.0, "1 of 1 are stale: nobody has been heard of for 5 min"),
    ],
)
def test_sessions(quiet: float, left: float, text: str) -> None:
    """Stale is whom the next script would end, and everybody once nobody has called for a lease."""
    rows = [SessionSnapshot("s", "h", 1, left)]
    assert condition.sessions(snapshot(quiet=quiet), rows).text == text
    assert condition.sessions(snapshot(quiet=quiet), []).text == "none"


def test_lease_clock() -> None:
    """What it skipped is normal; a clock that was set back is told."""
    found = condition.lease_clock(snapshot(), counters(NOW, vnow=90.0))
    assert (found.state, found.text[:22]) == ("ok", "ran 90.0 s of 100.0 s:")
    back = condition.lease_clock(snapshot(), counters(NOW + 300.0))
    assert (back.state, back.text) == ("note", "the server's clock was set back by 5 min")
    ahead = condition.lease_clock(snapshot(), counters(NOW, fence=NOW + 7200.0))
    assert (ahead.state, ahead.text) == ("note", "tokens are 2 h ahead of the server's clock")
