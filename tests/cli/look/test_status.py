"""`loco-redis status`: a resource at a glance, and the probe."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from loco_redis import LOCOScheduler, SharedResource
from loco_redis._scripts import Scripts
from loco_redis.cli.look._status_report import Limits, fetch, problems
from loco_redis.cli.look._status_view import bar
from loco_redis.observe import Link, Observer
from tests.cli.calls import invoke
from tests.cli.commands import loco_redis
from tests.cli.fleets import Fleet
from tests.cli.look.tasks import kill_a_task
from tests.servers import Server


def status(fleet: Fleet, *options: str) -> dict[str, Any]:
    result = invoke("status", "--json", "-u", fleet.url, *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def shown(fleet: Fleet, *options: str) -> str:
    result = invoke("status", "-u", fleet.url, "-i", "0", *options)
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.output.splitlines())


def test_at_a_glance(fleet_at_work: Fleet) -> None:
    """Numbers, the longest waits, and who holds, without colour and within 80 columns."""
    text = shown(fleet_at_work)
    assert text.startswith("llm_api  granting  ")
    assert "slots     ██ 2 of 2 held, peak 2" in text
    assert re.search(r"^waiting   4, the oldest for 0\.\d\ds \(batch\)$", text, re.M)
    assert "agents    2 competing, 0 registered" in text
    assert "sessions  2 live, lease 10 s" in text
    assert "log       about 1,000 events" in text
    assert re.search(r"^0 +webhook ", text, re.M)
    assert re.search(r"^batch +3 +0\.\d\ds +0\.150 +3 +0 +1$", text, re.M)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_json(fleet_at_work: Fleet) -> None:
    """The snapshot's numbers, the oldest wait, the throughput, and the first rows."""
    fleet_at_work.holder.release_handle(fleet_at_work.handles[0])
    found = status(fleet_at_work, "--interval", "0.05")
    assert (found["schema"], found["resource"], found["state"]) == (1, "llm_api", "granting")
    assert (found["capacity"], found["held"], found["waiting"], found["tick"]) == (2, 2, 3, 1)
    assert (found["granted"], found["released"], found["max_waiters"]) == (3, 1, None)
    assert found["oldest_waiting_agent"] == "batch"
    assert 0 < found["oldest_wait"] < 10
    assert found["granted_per_second"] == 0.0
    assert found["granted_per_second_ever"] > 0.1
    assert [row["agent_id"] for row in found["holders"]] == ["batch", "report"]
    (row,) = found["longest_waiting"]
    assert (row["agent_id"], row["waiting"], row["holding"]) == ("batch", 3, 1)
    assert found["problems"] == []
    assert status(fleet_at_work, "-i", "0")["granted_per_second"] is None


def test_throughput_is_that_between_two_looks(server: Server) -> None:
    """Grants that were made meanwhile, by the server's clock."""
    with Fleet(server.url, "llm_api", 1) as fleet:
        fleet.hold("a")
        before = fleet.observer.snapshot()

        class Busy(Observer):
            def agent(self, agent_id: str) -> Any:
                raise AssertionError("nobody waits")

            def sessions(self, now: Any = None) -> Any:
                fleet.holder.release_handle(fleet.handles.pop())
                fleet.hold("a")
                return super().sessions(now)

        found = fetch(Busy(fleet.observer.link, "llm_api"), 0.1, Limits())
        assert found.granted == before.granted
        assert found.granted_per_second == pytest.approx(10, rel=0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda fleet: fleet.holder.reconfigure(paused=True), "paused: nothing is granted"),
        (lambda fleet: fleet.handles[0].lease.throttled(60), r"held back for 1m00s: a holder was"),
        (lambda fleet: fleet.holder.reconfigure(rpm=1), r"next grant in \S+: its rate"),
        (lambda fleet: fleet.holder.reconfigure(rpm=1), r"rate      rpm 1 \(1 at once\)"),
        (lambda fleet: fleet.holder.reconfigure(auto_tune=True), "alpha     0.25, tunes itself"),
        (lambda fleet: fleet.holder.reconfigure(max_waiters=9), "waiting   4 of at most 9"),
        (lambda fleet: fleet.holder.reconfigure(capacity=0), "slots     2 held, capacity 0"),
        (lambda fleet: fleet.holder.reconfigure(events=0), "config set events=1000"),
    ],
)
def test_what_is_special_is_said(
    fleet_at_work: Fleet, change: Callable[[Fleet], Any], words: str
) -> None:
    change(fleet_at_work)
    if "its rate" in words:
        fleet_at_work.holder.reconfigure(capacity=3)  # one more is granted, then the rate holds
    assert re.search(words, shown(fleet_at_work))


def test_fewer_slots_after_a_throttle(server: Server) -> None:
    """The bar shows how many are out of use."""
    with Fleet(server.url, "llm_api", 4, adaptive_capacity=True) as fleet:
        fleet.hold("a").lease.throttled(0.0)
        assert "slots     █░-- 1 of 4 held, 2 usable after throttles" in shown(fleet)


@pytest.mark.parametrize(
    ("held", "effective", "capacity", "expected"),
    [
        (0, 3, 3, "░░░"),
        (3, 3, 3, "███"),
        (3, 1, 2, "██"),
        (0, 0, 0, ""),
        (1, 1000, 1000, "█" + "░" * 29),
        (500, 500, 1000, "█" * 15 + "-" * 15),
    ],
)
def test_bar(held: int, effective: int, capacity: int, expected: str) -> None:
    """A cell for each slot up to thirty; who holds is never invisible."""
    assert bar(held, effective, capacity).plain == expected


def check(fleet: Fleet, *options: str) -> tuple[int, str]:
    result = invoke("status", "--check", "-u", fleet.url, *options)
    assert len(result.output.splitlines()) == 1
    return result.exit_code, result.output


def test_check(fleet_at_work: Fleet) -> None:
    """One line; status 1 as soon as anything is wrong, and all that is."""
    code, line = check(fleet_at_work, "--max-waiters", "4")
    assert code == 0
    assert line.startswith("ok  llm_api: 2 of 2 held, 4 waiting, oldest 0.")
    code, line = check(fleet_at_work, "--max-waiters", "3", "--max-wait", "0")
    assert code == 1
    assert line.startswith("WRONG  llm_api: batch has waited for 0.")
    assert "; 4 requests wait, more than 3" in line
    fleet_at_work.holder.operations.pause()
    result = invoke("status", "--check", "--json", "-u", fleet_at_work.url)
    assert result.exit_code == 1
    assert json.loads(result.output)["problems"] == ["paused"]
    assert "problem   paused" in shown(fleet_at_work)


def test_check_of_dead_tasks(fleet_at_work: Fleet) -> None:
    """They are wrong only where a bound is given."""
    fleet_at_work.holder.reconfigure(capacity=10)
    kill_a_task(fleet_at_work, "night")
    assert check(fleet_at_work)[0] == 0
    code, line = check(fleet_at_work, "--max-dead", "0")
    assert code == 1
    assert "dead tasks: 1, more than 0" in line


def test_check_without_anybody_alive(server: Server) -> None:
    """Queued tasks and no session; or sessions that nobody has heard of for longer than a lease."""
    resource = SharedResource("llm_api", capacity=1)
    with LOCOScheduler(resource=resource, redis=server.url) as scheduler:
        scheduler.submit_task("nightly")
    result = invoke("status", "--check", "-u", server.url)
    assert result.exit_code == 1
    assert "no live session for queued tasks of 1 agent" in result.output
    with Fleet(server.url, "llm_api", 1) as fleet:
        fleet.hold("a")
        now = fleet.observer.snapshot()
        found = problems(replace(now, quiet=11.0), None, Limits())
        assert found == [
            "no process was heard of for 11s, in spite of 1 held slot and queued tasks of 1 agent"
        ]
        assert problems(replace(now, quiet=9.0), None, Limits()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-wait", "nan"], "nan is not in the range"),
        (["-i", "-1"], "-1 is not in the range 0 to 60"),
        (["--max-waiters", "-1"], "-1 is not in the range"),
        (["-u", "redis://127.0.0.1:1"], "no Redis at redis://127.0.0.1:1"),
        (["-n", "nothing"], "there is no resource 'nothing'"),
    ],
)
def test_mistakes_are_one_line(server: Server, options: list[str], message: str) -> None:
    result = invoke("status", "-u", server.url, *options)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.alone
def test_ten_thousand_agents_do_not_slow_it_down(server: Server) -> None:
    """With 200 waiters it answers within half a second, interval and all, and no command of it
    keeps the server busy for long."""
    scripts = Scripts("llm_api")

    def run(command: Any) -> None:
        keys = scripts.keys.all
        pipe.evalsha(scripts.sha(command.script), len(keys), *keys, *command.args)

    with Fleet(server.url, "llm_api", 1, events=0) as fleet, server.client.pipeline(False) as pipe:
        fleet.hold("holder")
        for script in ("submit", "acquire"):
            server.client.script_load(scripts.source(script))
        given = {"session": fleet.waiter.session_id, "floor": 0, "seen": 0}
        for number in range(10_000):
            agent = b"agent%d" % number
            run(scripts.submit(**given, sequence=10_000 + number, agent=agent, weight=1000,
                               max_attempts=0, body=b""))  # fmt: skip
        for number in range(200):
            agent = b"agent%d" % number
            run(scripts.acquire(**given, sequence=100_000 + number, agent=agent, weight=2000))
        pipe.execute()
        before = server.client.config_get("slowlog-log-slower-than")
        server.client.config_set("slowlog-log-slower-than", 20_000)
        server.client.slowlog_reset()
        started = time.monotonic()
        found = fetch(fleet.observer, 0.2, Limits())
        took = time.monotonic() - started
        slow = server.client.slowlog_get()
        server.client.config_set(*before.popitem())
        assert took < 0.5
        assert slow == []
        assert (found.waiting, found.competing, found.durable_tasks) == (200, 10_000, 10_000)


def test_no_colour(fleet_at_work: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colours, unless NO_COLOR is set."""
    command = loco_redis("status", "-u", fleet_at_work.url, "-i", "0")
    assert "\x1b[32mgranting" in command.run_on_terminal()[1]
    monkeypatch.setenv("NO_COLOR", "1")
    code, got = command.run_on_terminal()
    assert code == 0
    assert "\x1b[32m" not in got


def test_observer_is_left_alone(fleet_at_work: Fleet) -> None:
    """It writes nothing."""
    with Link(fleet_at_work.url) as link:
        before = Observer(link, "llm_api").snapshot().serial
        shown(fleet_at_work)
        check(fleet_at_work)
        # Heartbeats may come in between, but not as many.
        assert Observer(link, "llm_api").snapshot().serial - before <= 2
