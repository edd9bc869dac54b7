"""Odd and hostile ids: an exact round trip or a ValueError, and never part of a key or of Lua."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from loco_redis import Agent, BudgetPolicy, LOCOScheduler, SharedResource, Task
from loco_redis._keys import Keys
from loco_redis._scripts import VERBS, Scripts
from loco_redis.cli.look.why import fetch as why
from loco_redis.observe import Link, Observer
from tests.faults.conftest import Seen
from tests.security.texts import HOSTILE, texts
from tests.servers import Server

NAME = "llm"
_KEYLESS = ["TIME", "PUBLISH", "PING", "ECHO", "HELLO", "CLIENT", "SUBSCRIBE", "INFO", "SCRIPT"]
_settings = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate],  # each failure may wait for a timeout
)


@contextlib.contextmanager
def _scheduler(server: Server, **options: Any) -> Iterator[LOCOScheduler]:
    resource = SharedResource(NAME, 2)
    with LOCOScheduler([], resource, redis=server.url, events=10_000, **options) as scheduler:
        yield scheduler


def test_hostile_ids_of_agents_come_back_exactly(any_server: Server, seen: Seen) -> None:
    """In the snapshot, the figures, the decision log, the row of the agent and the answer of
    `why`."""
    told = {"kept": 0, "refused": 0}
    with (
        _scheduler(any_server, budget=BudgetPolicy(default_limit=10**9)) as scheduler,
        Link(any_server.url) as link,
    ):
        observer = Observer(link, NAME)

        @_settings
        @given(texts)
        def tried(agent: str) -> None:
            if not _is_id(agent):
                with pytest.raises(ValueError) as caught:
                    scheduler.acquire_start(agent, nested="allow")
                assert "\n" not in str(caught.value)
                told["refused"] += 1
                return
            with scheduler.acquire(agent, nested="allow") as lease:
                assert [h.agent_id for h in scheduler.snapshot().holders] == [agent]
                assert observer.agent(agent).agent_id == agent
                assert why(observer, agent, False).agent_id == agent
                assert lease.agent_id == agent
            told["kept"] += 1
            assert scheduler.metrics.cost_by_agent()[agent] >= 1.0
            assert scheduler.metrics.wait_time_by_agent()[agent].count >= 1
            assert {event.agent_id for event in observer.events(count=2)} == {agent}
            assert agent in scheduler.budget.summary()  # type: ignore[union-attr]

        for agent in HOSTILE:
            tried.hypothesis.inner_test(agent)
        tried()
    seen(f"{sum(told.values())} agent ids", f"{told['kept']} exact, {told['refused']} refused")


def test_hostile_ids_of_everything_else(server: Server, seen: Seen) -> None:
    """Types, teams, models, labels, tenants and payloads of a task that is served; a text that
    cannot be kept is refused before a slot is taken."""
    told = {"kept": 0, "refused": 0}
    with _scheduler(server) as scheduler:

        @_settings
        @given(texts, texts, st.binary(max_size=200))
        def tried(one: str, two: str, payload: bytes) -> None:
            try:
                task = Task(
                    task_type=one, team=two, model=one, workflow=two, session_id=one,
                    payload=payload, labels={one: two, two: one},
                )  # fmt: skip
                scheduler.register_agent(Agent("typed", agent_type=one))
                scheduler.submit_task("a", task)
            except ValueError:
                told["refused"] += 1
                assert not server.client.hlen(Keys(NAME).tasks)
                return
            with scheduler.acquire("a") as lease:
                assert lease.task.payload == payload
                assert (lease.task.task_type, lease.task.model) == (one, one or None)
                assert (lease.task.team, lease.task.labels) == (two or None, {one: two, two: one})
            with scheduler.acquire("a", task=task):
                pass
            if two:
                assert scheduler.metrics.attribution.cost_by_team()[two] >= 1.0
            told["kept"] += 1

        tried()
        assert scheduler.snapshot().holders == ()
        assert told["kept"] > 5
    seen(f"{sum(told.values())} tasks", f"{told['kept']} exact, {told['refused']} refused")


def test_hostile_ids_are_in_no_key_and_no_script(server: Server, seen: Seen) -> None:
    """What the server is told to do with them: every key that is touched is one of the resource's,
    and every script is one of ours."""
    commands: list[str] = []
    with server.client.monitor() as monitor, _scheduler(server) as scheduler:
        listening = threading.Thread(target=_listen, args=(monitor, commands))
        listening.start()
        for agent in HOSTILE:
            with contextlib.suppress(ValueError):
                task = Task(task_type=agent, team=agent, labels={"input": agent}, payload=b"x")
                scheduler.submit_task(agent, task)
                with scheduler.acquire(agent):
                    pass
        scheduler.metrics.cost_by_agent()
        server.client.echo("over")
        listening.join()
    scripts = Scripts(NAME)
    run = {words[1] for words in map(str.split, commands) if words[0].upper() == "EVALSHA"}
    assert run <= {scripts.sha(verb) for verb in VERBS}
    keys = {key for command in commands for key in _keys(command)}
    assert keys
    assert keys <= {key.decode() for key in scripts.keys.all} | {"loco:resources"}
    seen(f"{len(commands)} commands for {len(HOSTILE)} ids", f"{len(keys)} keys, all ours")


def _is_id(agent: str) -> bool:
    try:
        size = len(agent.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= 512 and "\0" not in agent


def _listen(monitor: Any, commands: list[str]) -> None:
    for command in monitor.listen():
        commands.append(command["command"])
        if command["command"].startswith("ECHO"):
            return


def _keys(command: str) -> list[str]:
    words = command.split(" ")
    name = words[0].upper()
    if name == "EVALSHA":
        return words[3 : 3 + int(words[2])]
    if name in (
        "TIME",
        "PUBLISH",
        "PING",
        "ECHO",
        "HELLO",
        "CLIENT",
        "SUBSCRIBE",
        "INFO",
        "SCRIPT",
    ):
        return []
    if name == "EVAL":
        assert words[1:] == ["return", "0", "0"], command
        return []
    return words[1:2]
