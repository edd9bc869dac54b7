"""What a faulty client sends: refused before anything is written, or harmless."""

from __future__ import annotations

import re
from importlib import resources

import pytest
import redis

from loco_redis._limits import LIMITS
from loco_redis._scripts import Command
from loco_redis.governance import _rules as rules
from loco_redis.testing import invariants, ops
from loco_redis.testing.dump import Dump
from tests.lua.lockstep import Bench
from tests.servers import Server

LEASE = 10_000_000
NOW = 1_000_000_000_000_000
AGENT, TENANT = b"acme/bot", b"acme"
SERVED = NOW + 2  # the token of the third grant
CALL = ("a", 1, 0)

VALID: tuple[ops.Op, ...] = (
    ops.Open("b", 0, "h|2"),
    ops.Heartbeat(*CALL),
    ops.Submit(*CALL, 20, AGENT, 1000, 3, b"body", b"7:9:x", b"+5|+9|7|key"),
    ops.Serve(*CALL, 20),
    ops.Complete(*CALL, 5, SERVED, labels=b"s\x1ft\x1fw\x1fm", outcome="f", value=b"no", delay=9),
    ops.Complete(*CALL, 5, SERVED, outcome="c", value=b"j1"),
    ops.Result(*CALL, "a:000000000013"),
    ops.Acquire(*CALL, 20, AGENT, 1000, b"7:9:x"),
    ops.Release(*CALL, 1, 0, labels=b"s\x1ft\x1fw\x1fm"),
    ops.Several((ops.Acquire(*CALL, 20, AGENT, 1000), ops.Release(*CALL, 1, 0))),
    ops.Cancel(*CALL, 3),
    ops.Settle("a", 1, 0, 500, 20, b"s\x1ft\x1fw\x1fm"),
    ops.CancelTask(*CALL, 20, "a:000000000010"),
    ops.Register(*CALL, 20, b"new", "batch"),
    ops.Unregister(*CALL, 20, b"idle"),
    ops.Reconfigure(*CALL, 20, 0, 3, 0.5, 7),
    ops.Close("a", 0),
    ops.Throttle(*CALL, 20, 0, 1000),
    ops.Govern(*CALL, 20, rules.packed(rules.cap(AGENT, 2) | rules.budget(5000, "r", "day"))),
    ops.Spend(*CALL, 20, b"a" + AGENT, 100),
    ops.Judge(*CALL, 20, AGENT, "error", 3),
    ops.Tally(*CALL, 20, b"c|3|5|hello"),
    ops.Evict(*CALL, 20, "a:000000000003"),
    ops.Requeue(*CALL, 20, "a:000000000010"),
)
JUNK = (
    *("", "0", "-1", "1.5", "nan", "inf", "0x10", "1e3", " 1", "1 ", "9" * 16, "9" * 40, "x", "b"),
    *("b:000000000001", "a:00000000001x", "a:999999999999", "a:000000000000", "\0", "|", "1|2|3"),
    *("::", "1:2:3:4", "\x1f", "x" * 600, "x" * 70_000, b"\xff\xfe", "3|abc", "1|B|1|x", "1|z|1|1"),
    *("1|2|3|4", "+|+||", "|||", "+9|-1|0|", "f", "q", "c|1|99|x", "release", "acquire"),
    "x" * (LIMITS.body + 1),
)


@pytest.fixture
def bench(server: Server) -> Bench:
    """A session with leases, waiters, durable tasks, a server that waits, and something of each
    part of governance."""
    bench = Bench(server.client)
    bench.set_clock(NOW)
    bench.run(ops.Open("a", 0, "h|1", capacity=3, lease=LEASE, events=100))
    governed = rules.budget(10**7, "r", "day") | rules.tenant(TENANT, 5, 10**7, 2)
    governed |= rules.trust(10, 10**9) | rules.slo(5, 10, 0.5, 0.8) | rules.rates(10**6, 10**6)
    bench.run(ops.Govern(*CALL, 11, rules.packed(governed)))
    bench.run(ops.Register(*CALL, 12, b"idle", ""))
    bench.run(ops.Submit(*CALL, 10, AGENT, 1000, 3, b"body"))
    for sequence in (1, 2, 3, 4):
        bench.run(ops.Acquire(*CALL, sequence, AGENT, 1000))
    bench.run(ops.Submit(*CALL, 13, b"free", 1000, 3, b"body", order=b"|+90000000|9|key"))
    assert bench.run(ops.Serve(*CALL, 5)).grants[0].token == SERVED
    bench.run(ops.Serve(*CALL, 6))
    return bench


def _send(bench: Bench, command: Command[object]) -> str:
    """The error, or nothing."""
    try:
        bench.send(command)
    except redis.ResponseError as error:
        return str(error)
    except (ValueError, TypeError, IndexError, AttributeError):
        pass  # a reply that this client does not expect
    return ""


@pytest.mark.parametrize("op", VALID, ids=lambda op: op.verb)
def test_junk_in_any_place_writes_nothing_or_keeps_the_invariants(bench: Bench, op: ops.Op) -> None:
    """Each argument in turn is replaced by each piece of junk. An error is ours, and leaves every
    key as it was; what is let in is a call that a sound client might have made."""
    valid = bench.command(op)
    refused = 0
    before = bench.dump()
    for place in range(1, len(valid.args)):
        for junk in JUNK:
            args = (*valid.args[:place], junk, *valid.args[place + 1 :])
            error = _send(bench, Command(valid.script, args, valid.decode))
            after = bench.dump()
            what = f"argument {place} of {op.verb} as {junk!r:.60}"
            if error:
                refused += 1
                assert "loco-redis refuses" in error, f"{what}: {error}"
                assert after == before, what
            else:
                _sound(after, what)
            before = after
    for cut in range(1, len(valid.args)):
        error = _send(bench, Command(valid.script, valid.args[:cut], valid.decode))
        assert not error or bench.dump() == before, f"{op.verb} with {cut} arguments: {error}"
        before = bench.dump()
    assert refused > 20
    assert _send(bench, Command(op.verb, valid.args, valid.decode)) == ""


def _sound(state: Dump, what: str) -> None:
    try:
        invariants.check(state)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error


def test_limits_are_the_same_in_lua_and_python() -> None:
    """`include/limits.lua` gives each limit the value of its Python twin, and no other."""
    text = (resources.files("loco_redis") / "lua/include/limits.lua").read_text("utf-8")
    found: dict[str, int] = {}
    for names, values in re.findall(r"^local (.*) = (.*)$", text, re.M):
        found |= dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    assert found == {f"MOST_{name.upper()}": most for name, most in LIMITS._asdict().items()}
