"""Processes that run a plan die, freeze and share: finished steps are not run again."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from typing import Any

import pytest

from loco_redis.orchestration.plans import Plan, Step
from tests.orchestration.plans.runner import Runners
from tests.servers import Server
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

CHAIN = Plan(
    [
        Step("a"),
        Step("b", depends_on=["a"]),
        Step("c", depends_on=["b"]),
        Step("aside", depends_on=["a"]),
    ]
)


class Journal:
    """What handlers have written."""

    def __init__(self, server: Server) -> None:
        self.client = server.client

    def lines(self, kind: str) -> list[tuple[str, int, int]]:
        """(step, pid, token) of each line of that kind, in order."""
        found = []
        for line in self.client.lrange("journal", 0, -1):
            word, step, pid, token = line.decode().split()
            if word == kind:
                found.append((step, int(pid), int(token)))
        return found

    def times(self, kind: str = "begin") -> Counter[str]:
        return Counter(step for step, _, _ in self.lines(kind))


def states(server: Server, plan_id: str = "p") -> Counter[str]:
    rows: Any = server.client.hvals(f"loco:{{plan:{plan_id}}}:steps")
    return Counter(row.decode().partition("|")[0] for row in rows)


@pytest.mark.parametrize(
    ("point", "begun"), [("claim", 1), ("handler", 2), ("said", 2), ("finished", 1)]
)
def test_another_process_goes_on_where_one_was_killed(
    server: Server, runners: Runners, point: str, begun: int
) -> None:
    """Wherever it died: what was finished is not run again, what was not is run again."""
    journal = Journal(server)
    first = runners(CHAIN, death=f"{point}:b")
    assert first.wait(20) == -signal.SIGKILL
    before = journal.lines("end")
    done = states(server)["done"]
    second = runners(CHAIN)
    assert second.wait(20) == 0
    assert states(server) == {"done": 4}
    times = journal.times()
    assert times["a"] == times["c"] == 1
    assert times["b"] == begun
    assert times["aside"] <= 2
    tokens = [token for step, _, token in journal.lines("begin") if step == "b"]
    assert tokens == sorted(set(tokens))
    assert done >= (2 if point == "finished" else 1)
    assert ("a", first.pid) in [(step, pid) for step, pid, _ in before]


def test_a_process_that_was_frozen_cannot_end_what_another_has(
    server: Server, runners: Runners
) -> None:
    """Its claim expires, another takes the step over; what it says afterwards is refused."""
    journal = Journal(server)
    plan = Plan([Step("a"), Step("b", depends_on=["a"])])
    server.client.set("gate:a", 1)
    frozen = runners(plan)
    wait_until(lambda: journal.times()["a"] == 1, 20, "the first attempt")
    frozen.send_signal(signal.SIGSTOP)
    second = runners(plan)
    wait_until(lambda: journal.times()["a"] == 2, 20, "the second attempt")
    # The frozen one finds its gate open, ends, and says so, while the second still is at it.
    (_, _, first_token), (_, _, second_token) = journal.lines("begin")
    assert second_token > first_token
    server.client.set("gate:b", 1)
    server.client.delete("gate:a")
    frozen.send_signal(signal.SIGCONT)
    wait_until(lambda: states(server)["done"] == 1, 20, "the end of a")
    result = server.client.hget("loco:{plan:p}:results", "0001")
    assert result == str(second.pid).encode()
    server.client.delete("gate:b")
    assert (frozen.wait(20), second.wait(20)) == (0, 0)
    assert journal.times()["b"] == 1
    assert server.client.hget("loco:{plan:p}:results", "0001") == result


def random_plan(seed: int, size: int, roots: int = 1) -> Plan:
    """Steps s0, s1, ...; the first `roots` depend on nothing."""
    chance = random.Random(seed)
    names = [f"s{n}" for n in range(size)]
    return Plan(
        [
            Step(
                name,
                depends_on=[]
                if n < roots
                else chance.sample(names[:n], min(n, chance.randint(1, 4))),
            )
            for n, name in enumerate(names)
        ]
    )


def test_two_processes_share_a_plan(server: Server, runners: Runners) -> None:
    """Each step is run once, each process runs some, and none before what it depends on."""
    plan, roots = random_plan(7, 60, roots=8), [f"gate:s{n}" for n in range(8)]
    server.client.mset(dict.fromkeys(roots, 1))
    pair = [runners(plan), runners(plan)]
    journal = Journal(server)
    # Each has room for four.
    wait_until(lambda: journal.times().total() == 8, 20, "both to have all they can take")
    assert Counter(pid for _, pid, _ in journal.lines("begin")) == {p.pid: 4 for p in pair}
    server.client.delete(*roots)
    assert [process.wait(30) for process in pair] == [0, 0]
    assert journal.times() == {step.name: 1 for step in plan.steps}
    order = [line.decode().split()[:2] for line in server.client.lrange("journal", 0, -1)]
    for step in plan.steps:
        begun = order.index(["begin", step.name])
        assert all(order.index(["end", name]) < begun for name in step.depends_on)


def test_processes_that_are_killed_and_replaced_finish_a_plan(
    server: Server, runners: Runners
) -> None:
    """A step that was known to be done is never begun again; no more is done twice than was in
    the hands of those killed."""
    chance = random.Random(11)
    plan = random_plan(3, 60)
    for step in plan.steps[::4]:
        server.client.set(f"gate:{step.name}", 1, px=chance.randrange(1, 1500))
    alive = [runners(plan) for _ in range(2)]
    journal, done_before, killed = Journal(server), {}, 0
    names = plan.topological_sort()
    deadline = time.monotonic() + 40
    while states(server)["done"] < len(names):
        assert time.monotonic() < deadline, states(server)
        reached = states(server)["done"]
        wait_until(lambda reached=reached: states(server)["done"] > reached + 7 or _over(server))
        if killed < 4 and not _over(server):
            victim = alive.pop(0)
            victim.kill()
            victim.wait()
            killed += 1
            rows = server.client.hgetall("loco:{plan:p}:steps")
            for number, row in rows.items():
                if row.startswith(b"done"):
                    done_before.setdefault(names[int(number) - 1], journal.times().total())
            alive.append(runners(plan))
    assert [process.wait(20) for process in alive] == [0, 0]
    begun = [step for step, _, _ in journal.lines("begin")]
    for name, place in done_before.items():
        assert name not in begun[place:], name
    twice = {name for name, times in Counter(begun).items() if times > 1}
    assert killed >= 2
    assert len(twice) <= 4 * killed
    assert set(begun) == set(names)


def _over(server: Server) -> bool:
    return server.client.hget("loco:{plan:p}:plan", "state") != b"running"
