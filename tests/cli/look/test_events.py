"""`loco-redis events`: decisions in words, picked, and followed until Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from loco_redis import BackpressureError, LOCOScheduler, PolicyViolationError, SharedResource
from loco_redis.cli.look._event_words import words
from loco_redis.governance import BudgetPolicy
from loco_redis.observe import Event
from loco_redis.observe.events import KINDS
from tests.cli.calls import invoke
from tests.cli.commands import Command, loco_redis
from tests.cli.fleets import Fleet
from tests.cli.look.tasks import kill_a_task
from tests.servers import Server


def events(fleet: Fleet, *options: str) -> list[dict[str, Any]]:
    result = invoke("events", "--json", "-u", fleet.url, *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["schema"], found["resource"], found["kept"]) == (1, "llm_api", 1000)
    return list(found["events"])


def picked(fleet: Fleet, *options: str) -> list[tuple[str, str]]:
    return [(row["kind"], row["agent_id"]) for row in events(fleet, *options)]


def test_a_line_a_decision(fleet_at_work: Fleet) -> None:
    """Local time, tick, kind, agent, and the facts in words."""
    fleet_at_work.holder.release_handle(fleet_at_work.handles[0])
    result = invoke("events", "-u", fleet_at_work.url)
    lines = result.output.splitlines()
    assert len(lines) == 8
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3}       0  granted       webhook     "
        r"slot 0, score 0\.25, waited 0 ticks",
        lines[0],
    )
    assert lines[2].endswith("0  submitted     batch       weight 1, queue 1")
    assert lines[6].endswith("1  released      webhook     slot 0, cost 2, 1 still held")
    assert lines[7].endswith("1  granted       report      slot 0, score 1.00, waited 1 tick")
    assert "\x1b" not in result.output
    (last,) = events(fleet_at_work, "--limit", "1")
    assert lines[7].startswith(datetime.fromtimestamp(last["at"]).strftime("%H:%M:%S."))


def test_they_can_be_picked(fleet_at_work: Fleet) -> None:
    """By agent, kind and time; the limit counts what is left."""
    assert picked(fleet_at_work, "--agent", "batch") == [
        ("granted", "batch"),
        *[("submitted", "batch")] * 3,
    ]
    kinds = ("--kind", "granted", "--kind", "released")
    assert picked(fleet_at_work, *kinds) == [("granted", "webhook"), ("granted", "batch")]
    assert picked(fleet_at_work, *kinds, "--limit", "1") == [("granted", "batch")]
    assert len(events(fleet_at_work, "--since", "1h")) == 6
    later = (datetime.now() + timedelta(hours=1)).isoformat()
    assert events(fleet_at_work, "--since", later) == []
    third = events(fleet_at_work)[2]["at"]
    exact = datetime.fromtimestamp(third).astimezone().isoformat()
    assert len(events(fleet_at_work, "--since", exact)) == 4
    shown = invoke("events", "--agent", "nobody", "-u", fleet_at_work.url)
    assert shown.output == "no such decision in the log of llm_api\n"


@pytest.mark.parametrize("since", ["yesterday", "5", "m", "nan", "-5m", "99999999999d"])
def test_times_that_are_none(since: str) -> None:
    result = invoke("events", "--since", since, "-u", "redis://127.0.0.1:1")
    assert result.exit_code == 2
    assert "is neither a span such as 30s, 5m, 2h, 1d nor an ISO time" in result.output


@pytest.mark.parametrize("option", [(), ("--json",), ("-f",)])
def test_a_log_that_is_off(server: Server, option: tuple[str, ...]) -> None:
    """It says how to turn it on."""
    with Fleet(server.url, "llm_api", 1):
        result = invoke("events", *option, "-u", server.url)
    assert result.exit_code == 1
    assert result.output.startswith("Error: the decision log of llm_api is off")
    assert "`loco-redis config set events=1000`" in result.output


def test_every_kind_has_words(server: Server) -> None:
    """What a resource goes through in its life, refusals with their reason."""
    budget = BudgetPolicy(10.0)
    with Fleet(server.url, "llm_api", 1, events=1000, budget=budget, max_waiters=1) as fleet:
        fleet.holder.operations.requeue(kill_a_task(fleet, "night"))
        handle = fleet.hold("night")
        with pytest.raises(PolicyViolationError):
            fleet.hold("spender", weight=11.0)
        fleet.wait("a")
        with pytest.raises(BackpressureError):
            fleet.hold("b")
        fleet.holder.operations.cancel(fleet.observer.requests().waiters[0].request_id)
        with pytest.raises(TimeoutError):
            fleet.hold("b", timeout=0.01)
        handle.lease.throttled(0.0)
        fleet.holder.release_handle(handle)
        fleet.holder.reconfigure(capacity=3)
        told = [(row["kind"], words(Event(**row))) for row in events(fleet)]
    lines = "\n".join(f"{kind}: {text}" for kind, text in told)
    for expected in (
        r"submitted: weight 2, queue 2",
        r"granted: slot 0, score \d\.\d\d, waited 0 ticks, task \w{16}:\d{12}",
        r"evicted: lost its slot, token \d{16}, by \w{16}",
        r"evicted: stopped waiting, by \w{16}",
        r"died: task \w{16}:\d{12} is dead after 1 attempt",
        r"refused: budget: 0\.0 of 10\.0 is spent or reserved and 11\.0 more was asked for: .*",
        r"refused: as many wait as may \(max_waiters\)",
        r"cancelled: gave up: its time was up",
        r"throttled: nothing for 0\.00s, then at most 1 slot",
        r"released: slot 0, cost 2, 0 still held",
        r"requeued: task \w{16}:\d{12} is queued again, all its attempts before it",
        r"reconfigured: capacity=3, version 2, by \w{16}",
        r"governed: budgets, by \w{16}",
    ):
        assert re.search(f"^{expected}$", lines, re.M), f"{expected} in\n{lines}"


@pytest.mark.parametrize(
    ("kind", "facts", "expected"),
    [
        ("cancelled", {"state": "W", "late": "0"}, "gave up waiting"),
        ("cancelled", {"state": "G", "late": "0"}, "gave its slot back"),
        ("requeued", {"id": "s:1", "attempt": 2}, "task s:1 is queued again after 2 attempts"),
        ("reclaimed", {"slot": 3, "token": 7}, "slot 3 taken back, token 7"),
        ("expired", {"session": "s"}, "session s"),
        ("submitted", {"weight": 0.0, "depth": 3.0}, "serves its tasks, queue 3"),
        ("refused", {"why": "access", "facts": "top secret"}, "access: data labelled 'top secret'"),
        ("refused", {"why": "rate", "facts": "2000 1000000 500000"}, "rate: it may start 2 tasks"),
        ("refused", {"why": "tenant_agents", "facts": "3"}, "tenant 'acme' has 3 agents"),
        ("refused", {"why": "tenant", "facts": "1000 1000 1"}, "tenant: 1.0 of the 1.0 that"),
        ("governed", {"rules": "Ba\x1fcb\x1ftacme\x1fs", "by": "s"},
         "the budget of a, the cap of b, tenant acme, trust, by s"),
        ("novel", {"what": 1, "why": "x"}, "what=1 why=x"),
    ],
)  # fmt: skip
def test_words(kind: str, facts: dict[str, Any], expected: str) -> None:
    """Of what is hard to bring about, and of kinds of a later version."""
    assert words(Event("1-1", 0.0, 0, kind, "acme/x", facts)).startswith(expected)


class Following:
    """`loco-redis events -f` in a process of its own."""

    def __init__(self, command: Command) -> None:
        self.process = command.start()
        assert self.process.stdout is not None
        self.stdout = self.process.stdout

    def line(self) -> str:
        return self.stdout.readline().decode()

    def stop(self) -> tuple[int, str]:
        """Ctrl-C: the exit status and what it says."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=10)
        return self.process.returncode, err.decode()


@pytest.fixture
def follow() -> Iterator[Callable[[str], Following]]:
    """Starts following grants and releases, from the last one on."""
    started: list[Following] = []

    def start(url: str) -> Following:
        options = ("--json", "--kind", "granted", "--kind", "released", "--limit", "1")
        started.append(Following(loco_redis("events", "-f", "-u", url, *options)))
        return started[-1]

    yield start
    for following in started:
        following.process.kill()
        following.process.communicate()


def test_following(fleet_at_work: Fleet, follow: Callable[[str], Following]) -> None:
    """The last ones first, then each as it comes, one JSON object a line; Ctrl-C is status 130."""
    following = follow(fleet_at_work.url)
    first = json.loads(following.line())
    assert (first["schema"], first["kind"], first["agent_id"]) == (1, "granted", "batch")
    fleet_at_work.holder.release_handle(fleet_at_work.handles[0])
    started = time.monotonic()
    rows = [json.loads(following.line()) for _ in range(2)]
    assert time.monotonic() - started < 5
    assert [(row["kind"], row["agent_id"]) for row in rows] == [
        ("released", "webhook"),
        ("granted", "report"),
    ]
    assert following.stop() == (130, "")


def test_following_an_emptied_server(server: Server, follow: Callable[[str], Following]) -> None:
    """It goes on with the log that begins anew, and with one that was off meanwhile."""

    def use(agent: str) -> None:
        resource = SharedResource("llm_api", capacity=1)
        with LOCOScheduler(resource=resource, redis=server.url, events=10) as scheduler:
            with scheduler.acquire(agent):
                pass

    use("before")
    following = follow(server.url)
    assert json.loads(following.line())["kind"] == "released"
    server.client.flushall()
    use("again")
    assert [json.loads(following.line())["agent_id"] for _ in range(2)] == ["again"] * 2
    with LOCOScheduler(resource=SharedResource("llm_api"), redis=server.url) as scheduler:
        scheduler.reconfigure(events=0)
        assert following.process.stderr is not None
        told = following.process.stderr.readline()
        assert told == b"the decision log of llm_api is off now: waiting\n"
        scheduler.reconfigure(events=10)
    use("later")
    assert [json.loads(following.line())["agent_id"] for _ in range(2)] == ["later"] * 2
    assert following.stop() == (130, "")


def test_on_a_terminal(fleet_at_work: Fleet) -> None:
    """Kinds have colours, agents are bold."""
    status, got = loco_redis("events", "-u", fleet_at_work.url).run_on_terminal()
    assert status == 0
    assert re.search(r"\x1b\[32mgranted  .*\x1b\[1mwebhook", got)


def test_kinds_in_the_help() -> None:
    """All of them, so that nobody has to look them up."""
    text = " ".join(invoke("events", "-h").output.split())
    assert ", ".join(KINDS) in text
