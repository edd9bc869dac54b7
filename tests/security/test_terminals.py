"""Texts that somebody else chose cannot move the cursor, set a colour, or pose as another line."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest

from loco_redis import (
    BudgetPolicy,
    LOCOScheduler,
    SharedResource,
    SLOBudget,
    Task,
    TrustScorer,
)
from loco_redis._keys import Keys
from loco_redis.cli._console import shown
from loco_redis.cli._errors import Broken, Refused
from loco_redis.observe import Link, Observer
from tests.cli.calls import invoke
from tests.cli.every_command import CALLS
from tests.cli.fleets import Fleet
from tests.servers import Server

NAME = "llm_api"
EVIL = "\x1b[2J\x9b31m\r\nError: \x07\u202egnp.\u200b[red]"
TENANT = "acme"
#: Commands that show at least one of these texts.
NAMING = (
    "status", "top", "agents", "holders", "sessions", "tasks", "dead", "why", "events", "costs",
    "trust", "budgets list", "policies list", "why evil", "waiters",
)  # fmt: skip
AGENTS = (EVIL, f"{TENANT}/\x1b\u2066x", "plain")


_LINE_END = "\n"


def is_harmless(output: str) -> bool:
    """Nothing but printable characters and line ends."""
    return all(c.isprintable() or c == _LINE_END for c in output)


@pytest.fixture(scope="module")
def evil_url(fleet: Any) -> Iterator[str]:
    """A resource in which every text is hostile, as its own users made it."""
    server: Server = fleet.flushed("valkey-9")
    governed = {
        "budget": BudgetPolicy(default_limit=100),
        "trust_scorer": TrustScorer(),
        "slo": SLOBudget(),
        "events": 1000,
    }
    with LOCOScheduler([], SharedResource("empty", 1), redis=server.url):
        pass
    with Fleet(server.url, NAME, 3, **governed) as made:
        scheduler = made.holder
        assert _set(server, "tenants", "set", TENANT, "--max-slots", "3")
        for agent in AGENTS:
            task = Task(task_type=EVIL, team=EVIL, model=EVIL, workflow=EVIL, session_id=EVIL,
                        labels={"input": EVIL}, max_attempts=1)  # fmt: skip
            scheduler.submit_task(agent, task)
            with scheduler.acquire(agent):
                pass
            scheduler.submit_task(agent, task)
            assert _set(server, "policies", "set", "cap", agent, "2")
            assert _set(server, "policies", "set", "access", agent, EVIL)
            assert _set(server, "policies", "set", "rate", "--agent", agent, "--limit", "1000")
            assert _set(server, "budgets", "set", agent, "--limit", "90")
            token = made.hold(agent).lease.token
            assert _set(server, "release", str(token), "-y")
        for agent in AGENTS:
            made.hold(agent)
        for agent in AGENTS:
            made.wait(agent)
            scheduler.submit_task(agent, task)
        # A process that is not ours may call its host anything.
        sessions = Keys(NAME).sessions
        for session, row in server.client.hgetall(sessions).items():
            fields = row.split(b"|")
            host = f"{EVIL}|1".encode()
            server.client.hset(sessions, session, b"|".join((*fields[:5], host)))
        yield server.url


def _set(server: Server, *words: str) -> bool:
    result = invoke(*words, "-n", NAME, "-u", server.url)
    assert result.exit_code == 0, result.output
    return True


@pytest.mark.parametrize("command", [*CALLS, "doctor", "events --json", "why evil", "cancel evil"])
def test_terminals_see_no_control_character(command: str, evil_url: str) -> None:
    """Whatever a command prints of hostile texts, as a table, a line or an error."""
    words = {
        "why evil": ["why", EVIL],
        "cancel evil": ["cancel", EVIL, "-y"],
        "doctor": ["doctor"],
        "events --json": ["events", "--json"],
        "why": ["why", AGENTS[1]],
        "cancel": ["cancel", EVIL, "-y"],
        "budgets reset": ["budgets", "reset", EVIL, "-y"],
        "budgets set": ["budgets", "set", EVIL, "--limit", "5"],
        "tenants set": ["tenants", "set", TENANT, "--max-slots", "2"],
        "tenants rm": ["tenants", "rm", EVIL, "-y"],
        "policies set": ["policies", "set", "cap", EVIL, "1"],
        "policies rm": ["policies", "rm", "cap", EVIL, "-y"],
        "release": ["release", "--slot", "0", "-y"],
        "purge": ["purge", "-y"],
    }.get(command, [*command.split(), *[w for w in CALLS.get(command, "").split() if w[0] == "-"]])
    words = [word for word in words if word not in ("-n", "llm_api", "empty")]
    if command == "drain":
        words = ["drain", "--timeout", "0", "--resume"]
    if command == "config set":
        words = ["config", "set", f"capacity={EVIL}"]
    name = [] if command == "resources" else ["-n", "empty" if command == "purge" else NAME]
    result = invoke(*words, *name, "-u", evil_url)
    assert is_harmless(result.output), repr(result.output)
    assert result.exit_code in (0, 1, 2), result.output
    assert "Traceback" not in result.output
    assert sum(line.startswith("Error: ") for line in result.output.splitlines()) <= 1
    if command in NAMING:
        assert r"\x1b" in result.output, result.output


def test_terminals_of_programs_get_the_exact_text(evil_url: str) -> None:
    """`--json` escapes what JSON escapes, and nothing is changed."""
    result = invoke("agents", "-n", NAME, "-u", evil_url, "--json")
    assert is_harmless(result.output)
    named = {row["agent_id"] for row in json.loads(result.output)["agents"]}
    assert {*AGENTS} <= named
    with Link(evil_url) as link:
        assert EVIL in {event.agent_id for event in Observer(link, NAME).events()}


def test_terminals_see_what_was_there() -> None:
    """Each character that is not shown as it is, is spelled out; the rest is left alone."""
    assert shown(EVIL) == r"\x1b[2J\x9b31m\r\nError: \x07\u202egnp.\u200b[red]"
    assert shown("naïve 名前 👩") == "naïve 名前 👩"
    for code in (*range(0x3000), *range(0xD7F0, 0xE010), *range(0xE0000, 0xE0100)):
        text = shown(chr(code))
        assert text.isprintable()
        assert unicodedata.category(text[0])[0] not in "C"


@pytest.mark.parametrize("kind", [Broken, Refused])
def test_terminals_get_errors_of_one_harmless_line(kind: type[Broken]) -> None:
    """What a server, or somebody's policy, says is no exception."""
    assert is_harmless(kind(f"Redis says {EVIL}").format_message())


def test_terminals_of_logs(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Lines of LOCO_LOG, and warnings about agents."""
    caplog.set_level(logging.DEBUG, "loco_redis")
    governed = {"budget": BudgetPolicy(default_limit=1, on_exceeded="alert")}
    with LOCOScheduler([], SharedResource("llm", 1), redis=server.url, **governed) as scheduler:
        for _ in range(2):
            with scheduler.acquire(EVIL, task=Task(weight=2.0)):
                pass
    told = [record.getMessage() for record in caplog.records]
    assert any("[GRANT]" in line for line in told)
    assert all(is_harmless(line) and "\n" not in line for line in told), told
