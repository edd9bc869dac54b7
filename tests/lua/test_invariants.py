"""The checker accepts a state that has everything, and names what is wrong in a corrupt one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from loco_redis.testing import ops
from loco_redis.testing.dump import Dump
from loco_redis.testing.invariants import (
    InvariantViolation,
    check,
    check_at_rest,
    check_progress,
)
from tests.lua.lockstep import Lockstep
from tests.servers import Server

NOW = 1_000_000_000_000_000
Corruption = Callable[[Dump], Dump]


@pytest.fixture
def pair(server: Server) -> Any:
    pair = Lockstep(server.client, NOW)
    yield pair
    pair.close()


@pytest.fixture
def full(pair: Lockstep) -> Dump:
    """Held, waiting, open and parked; queued, running and dead tasks; unsettled and buried."""
    pair.do(ops.Open("a", 0, "h|1", capacity=2, events=100))
    pair.do(ops.Open("b", 0, "h|2"))
    pair.do(ops.Submit("b", 1, 0, 1, b"doomed", 1000, max_attempts=1, body=b"body"))
    pair.do(ops.Acquire("b", 1, 0, 2, b"doomed"))
    pair.do(ops.Close("b", 0))
    pair.do(ops.Acquire("a", 1, 0, 1, b"bound", 2000))
    for sequence in (2, 3, 4):
        pair.do(ops.Submit("a", 1, 0, sequence, b"pull", 3000, body=b"body"))
    for sequence in (5, 6):
        pair.do(ops.Acquire("a", 1, 0, sequence, b"pull"))
    pair.do(ops.Acquire("a", 1, 0, 7, b"bound", 1500))
    pair.do(ops.Acquire("a", 1, 0, 8, b"deep", 90000))
    pair.do(ops.Submit("a", 1, 0, 9, b"parked", 1000))
    pair.do(ops.Settle("a", 1, NOW + 1, 700))
    pair.do(ops.Cancel("a", 1, 0, 50))
    return pair.before


def _with(dump: Dump, key: str, rows: Any) -> Dump:
    return replace(dump, **{key: rows})


def put(key: str, row: bytes, value: Any) -> Corruption:
    """A row is added or changed."""
    return lambda dump: _with(dump, key, {**getattr(dump, key), row: value})


def drop(key: str, prefix: bytes = b"") -> Corruption:
    """The first row of a key that begins so is lost."""

    def corrupt(dump: Dump) -> Dump:
        rows = dict(getattr(dump, key))
        del rows[next(row for row in sorted(rows) if row.startswith(prefix))]
        return _with(dump, key, rows)

    return corrupt


def edit(key: str, row: bytes, old: bytes, new: bytes) -> Corruption:
    """A value of a row is another."""

    def corrupt(dump: Dump) -> Dump:
        value = getattr(dump, key)[row]
        assert old in value
        return put(key, row, value.replace(old, new, 1))(dump)

    return corrupt


def slots(*held: int) -> Corruption:
    return lambda dump: replace(dump, slots=frozenset(held))


def renamed(key: str, old: bytes, new: bytes) -> Corruption:
    """Part of a member is another."""

    def corrupt(dump: Dump) -> Dump:
        rows = {row.replace(old, new): value for row, value in getattr(dump, key).items()}
        assert rows != getattr(dump, key)
        return _with(dump, key, rows)

    return corrupt


def rid(sequence: int, session: str = "a") -> bytes:
    return b"%s:%012d" % (session.encode(), sequence)


def log(*, serial: int, tick: int) -> Corruption:
    """The log has one entry more at its end."""
    entry = (b"%d-1" % serial, {b"tick": b"%d" % tick})
    return lambda dump: replace(dump, events=(*dump.events, entry))


CORRUPTIONS: list[tuple[int, str, Corruption]] = [
    (1, "held", put("vars", b"held", b"1")),
    (1, "slot above capacity", put("vars", b"capacity", b"1")),
    (1, "bitmap", slots(0, 1, 2)),
    (1, "holder missing", drop("holders")),
    (1, "holder of another", put("holders", b"0", rid(7))),
    (1, "slot twice", edit("requests", rid(5), b"G|o|1|", b"G|o|0|")),
    (2, "queue member lost", drop("queue")),
    (2, "queue member without a row", put("queue", b"x\0b%016d%012d" % (3, 0) + rid(60), 0.0)),
    (2, "queue score", put("queue", b"x", 1.0)),
    (2, "Q", edit("loads", b"pull", b"6000|", b"6001|")),
    (2, "count", edit("loads", b"pull", b"|0|2|1|", b"|0|2|2|")),
    (2, "load of nobody", put("loads", b"ghost", b"0|0|0|0|0|0|b|0|||x")),
    (2, "depth", put("depth", b"deep", 1.0)),
    (2, "depth missing", drop("depth")),
    (2, "ready missing", drop("ready")),
    (2, "candidate parked", put("parked", b"deep", 1.0)),
    (2, "ready though parked", put("ready", b"parked", 1.0)),
    (2, "index missing", drop("index")),
    (2, "index Q", renamed("index", b"8999999999910000", b"8999999999910001")),
    (2, "index bucket", lambda dump: renamed("index", min(dump.buckets), b"9999")(dump)),
    (2, "bucket missing", drop("buckets")),
    (2, "bucket bound", lambda dump: put("buckets", min(dump.buckets), 99.0)(dump)),
    (3, "waiting", put("vars", b"waiting", b"7")),
    (3, "task of no lease", edit("tasks", rid(2), b"R|", b"X|")),
    (3, "dead unlisted", drop("dead")),
    (3, "body lost", drop("bodies")),
    (3, "alive and buried", put("tombstones", rid(7), 0.0)),
    (4, "session lost", drop("sessions")),
    (4, "deadline lost", drop("deadlines")),
    (4, "unowned", drop("owned")),
    (4, "tombstone of nobody", put("tombstones", rid(1, "zz"), 0.0)),
    (4, "tombstone below the floor", edit("sessions", b"a", b"|1|8|", b"|51|8|")),
    (4, "due", put("vars", b"due", b"99999999999999999")),
    (5, "token above the fence", put("vars", b"fence", b"5")),
    (5, "token twice", renamed("unsettled", b"%d" % NOW, b"%d" % (NOW + 1))),
    (6, "head from the future", put("vars", b"tick", b"0")),
    (6, "seq not given", put("vars", b"seq", b"3")),
    (6, "event from the future", log(serial=99, tick=1)),
    (6, "event of a tick to come", log(serial=16, tick=2)),
    (6, "event out of order", log(serial=3, tick=1)),
    (6, "events though none are kept", put("vars", b"events", b"0")),
    (7, "negative cost", put("costs", b"bound", b"-1")),
    (8, "idle slot", put("vars", b"capacity", b"9")),
    (9, "grant not counted", edit("sessions", b"a", b"|2|h|1", b"|1|h|1")),
    (9, "ends without grants", put("vars", b"granted", b"1")),
]


def test_full_state_is_sound(full: Dump) -> None:
    """The state the corruptions start from has a row in every key and keeps all invariants."""
    empty = [key for key in Dump.__dataclass_fields__ if not getattr(full, key)]
    governed = ["agents", "rules", "accounts", "lines", "tallies", "alerts"]
    assert set(empty) == {*governed, "later", "timers", "orders"}
    check(full)


@pytest.fixture
def governed(pair: Lockstep) -> Dump:
    """Reserved, and beyond a limit; a line whose tenant is at its cap, and one that is not."""
    pair.do(ops.Open("a", 0, "h|1", capacity=2))
    rules = {b"b": b"9000|a|", b"tfull": b"5|99000|1", b"topen": b"|99000|2", b"ccapped": b"1"}
    pair.do(ops.Govern("a", 1, 0, 1, ops.packed(rules)))
    agents = (b"full/x", b"capped", b"full/y", b"open/x", b"open/y", b"capped", b"over")
    for sequence, agent in enumerate(agents, start=2):
        pair.do(
            ops.Acquire("a", 1, 0, sequence, agent, 2000, b"9500::" if agent == b"over" else b"")
        )
    return pair.before


GOVERNED: list[tuple[int, str, Corruption]] = [
    (2, "line lost", drop("lines")),
    (2, "front of a full tenant ready", put("ready", b"full/y", 4.0)),
    (2, "second of a line ready", put("ready", b"open/y", 6.0)),
    (2, "capped agent ready", put("ready", b"capped", 7.0)),
    (2, "bucket of a full tenant", put("buckets", b":full:1000191", 0.0)),
    (2, "bucket missing", drop("buckets", b":open")),
    (7, "reserved for nobody", edit("accounts", b"acapped", b"|4000|", b"|4001|")),
    (7, "reservation lost", drop("accounts", b"topen")),
    (7, "beyond the limit", edit("accounts", b"aover", b"|500|", b"|499|")),
    (7, "negative spend", edit("accounts", b"aover", b"0|0|", b"-1|0|")),
]


@pytest.mark.parametrize(
    ("number", "corrupt"),
    [pytest.param(number, corrupt, id=f"{number}-{name}") for number, name, corrupt in GOVERNED],
)
def test_corrupt_governance_is_named(governed: Dump, number: int, corrupt: Corruption) -> None:
    """A lost reservation, a spent limit or a wrong line raises the number of its invariant."""
    check(governed)
    with pytest.raises(InvariantViolation) as caught:
        check(corrupt(governed))
    assert caught.value.number == number


@pytest.mark.parametrize(
    ("number", "corrupt"),
    [pytest.param(number, corrupt, id=f"{number}-{name}") for number, name, corrupt in CORRUPTIONS],
)
def test_corruption_is_named(full: Dump, number: int, corrupt: Corruption) -> None:
    """Each kind of corruption raises a violation with the number of its invariant."""
    with pytest.raises(InvariantViolation) as caught:
        check(corrupt(full))
    assert caught.value.number == number
    assert caught.value.rows


def test_keys_without_vars_are_left_over(full: Dump) -> None:
    """A server without `vars` must hold nothing else."""
    with pytest.raises(InvariantViolation, match="sessions without vars"):
        check(replace(full, vars={}))


def test_waiting_is_no_rest(full: Dump, pair: Lockstep) -> None:
    """Only an idle scheduler is at rest; one that is closed is."""
    with pytest.raises(InvariantViolation) as caught:
        check_at_rest(full)
    assert caught.value.number == 10
    pair.do(ops.Close("a", 0))
    pair.do(ops.Open("c", 0, "h|3"))
    for sequence, task in enumerate(sorted(pair.state.tasks), start=1):
        pair.do(ops.CancelTask("c", 1, 0, sequence, task))
    check_at_rest(pair.before)


@pytest.mark.parametrize(
    ("number", "later"),
    [
        (1, put("vars", b"capacity", b"0")),
        (5, edit("requests", rid(5), b"%d" % (NOW + 2), b"%d" % (NOW - 9))),
        (6, put("vars", b"tick", b"0")),
        (6, put("vars", b"vnow", b"-1")),
    ],
)
def test_falling_numbers_are_named(full: Dump, number: int, later: Corruption) -> None:
    """Between two dumps neither clocks nor tokens fall, and nothing is granted above capacity."""
    before = put("vars", b"held", b"0")(full)
    check_progress(before, full)
    with pytest.raises(InvariantViolation) as caught:
        check_progress(before, later(full))
    assert caught.value.number == number
