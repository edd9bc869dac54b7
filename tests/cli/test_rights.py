"""Commands through an ACL user who may do no more than their row of `_rights` says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from loco_redis._rights import OPTIONAL
from loco_redis._scripts import VERBS, Scripts
from loco_redis.cli import SECTIONS
from loco_redis.cli._rights import ADMINISTRATION, RIGHTS
from tests.cli.every_command import CALLS, Operator, governed_fleet
from tests.servers import Server
from tests.soundness import schedulers_are_sound

CHANGING = [name for name, row in RIGHTS.items() if "SCRIPT|LOAD" in row or name == "reap"]


@pytest.fixture
def operator(any_server: Server) -> Iterator[Operator]:
    url = any_server.url.replace("unix://", "unix://op:x@")
    with governed_fleet(any_server.url) as fleet:
        yield Operator(fleet, url, [any_server.client])
    any_server.client.execute_command("ACL", "DELUSER", "op")
    of_plans = any_server.client.keys("loco:{plan:*")
    any_server.client.delete("loco:resources", "loco:plans", *of_plans)
    schedulers_are_sound(any_server)


def test_each_command_has_its_row() -> None:
    """All that look and change; `doctor` looks at the server itself, and says what it lacks."""
    names = " ".join(names for folder, names in SECTIONS.values() if folder in ("look", "change"))
    assert {name.split()[0] for name in RIGHTS | ADMINISTRATION} == {*names.split()} - {"doctor"}
    assert RIGHTS.keys() == CALLS.keys()


def test_commands_work_with_their_rights_only(operator: Operator) -> None:
    """In this order: each leaves what the next ones need. The scripts are not loaded before."""
    for command, rights in RIGHTS.items():
        if command != "purge":
            _succeeds(operator, command, rights)
    _succeeds(operator, "purge", RIGHTS["purge"])


def _succeeds(operator: Operator, command: str, rights: tuple[str, ...]) -> None:
    operator.may(rights)
    result = operator.call(command)
    assert result.exit_code == 0, (command, result.output)


def test_a_missing_right_is_named(operator: Operator) -> None:
    """Of commands that look, too, and of servers that do not name it themselves."""
    for command, right in [
        ("resources", "SMEMBERS"),
        ("agents", "HSCAN"),
        ("slo", "HGET"),
        ("config get", "HLEN"),
        ("trust", "TIME"),
        ("budgets list", "ZCARD"),
        ("config set", "SCRIPT|LOAD"),
        ("purge", "UNLINK"),
    ]:
        operator.may(RIGHTS[command], right)
        result = operator.call(command)
        assert result.exit_code == 2, (command, right, result.output)
        assert right.split("|")[0].lower() in result.output.lower(), (command, result.output)
        (line,) = result.output.splitlines()[-1:]
        assert line.startswith("Error: "), result.output


@pytest.mark.parametrize("command", ["pause", "reap", "tenants set"])
def test_who_lacks_a_right_changes_nothing(operator: Operator, command: str) -> None:
    """A script that is refused halfway would leave a broken state: it is not begun."""
    before = operator.fleet.observer.snapshot()
    for right in sorted(_called("govern") & {*RIGHTS[command]}):
        operator.may(RIGHTS[command], right)
        result = operator.call(command)
        assert result.exit_code == 2, (right, result.output)
        assert right in result.output.upper(), result.output
    after = operator.fleet.observer.snapshot()
    assert (after.version, after.paused) == (before.version, before.paused)
    assert after.live_sessions == 2


def test_a_user_without_channels_is_told(operator: Operator) -> None:
    """Hints to waiting processes go through channels."""
    operator.may(RIGHTS["pause"])
    operator.servers[0].execute_command("ACL", "SETUSER", "op", "resetchannels")
    result = operator.call("pause")
    assert result.exit_code == 2
    assert "PUBLISH to loco:*" in result.output


def test_the_table_is_what_the_scripts_call() -> None:
    """A command that changes needs all that its scripts may call; whichever way they go."""
    used = {
        "config set": {"reconfigure"},
        "pause": {"reconfigure"},
        "resume": {"reconfigure"},
        "drain": {"reconfigure"},
        "release": {"evict"},
        "cancel": {"evict", "cancel_task"},
        "requeue": {"requeue"},
        "budgets set": {"govern"},
        "budgets reset": {"spend"},
        "tenants set": {"govern"},
        "tenants rm": {"govern"},
        "policies set": {"govern"},
        "policies rm": {"govern"},
    }
    assert {*used, "reap"} == {*CHANGING}
    for command in CHANGING:
        scripts = used[command] | {"open", "close", "poll"} if command in used else {"reap"}
        needed = set().union(*map(_called, scripts))
        assert needed <= {*RIGHTS[command]}, command
    everything = set().union(*map(_called, VERBS))
    plain = {"EVAL", "EVALSHA", "HSCAN", "SCRIPT|LOAD", "SMEMBERS", "SREM", "UNLINK", "XREAD"}
    for command, rights in RIGHTS.items():
        assert {*rights} <= everything | plain | {"XREVRANGE"}, command
        assert not {*rights} & {*OPTIONAL}, command


def _called(script: str) -> set[str]:
    return set(re.findall(r"redis\.call\('([A-Z]+)'", Scripts("any").source(script)))


def test_every_right_of_a_script_is_tried() -> None:
    """rights.lua knows a way to try each that changes nothing."""
    tried = {*re.findall(r"\b([A-Z|]+)(?:'\])? = \{", Scripts("any").source("rights"))}
    for command in CHANGING:
        assert {*RIGHTS[command]} <= tried, command
