"""`loco-redis functions`, and all other commands by a user who may not run scripts of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import redis

from loco_redis._library import PREFIX
from loco_redis._rights import acl_rules, under
from loco_redis._scripts import library
from loco_redis.cli._rights import ADMINISTRATION, RIGHTS
from tests.cli.calls import Result, invoke
from tests.cli.every_command import CALLS, governed_fleet
from tests.hardened import RIGHTS as WORKER_RIGHTS
from tests.hardened import WITHOUT, Hardened, any_hardened
from tests.servers import BINARIES, Fleet
from tests.soundness import schedulers_are_sound

__all__ = ["any_hardened"]

OURS = library().version
OLDER = "0123456789"


def functions(url: str, *words: str) -> Result:
    return invoke("functions", *words, *(() if words[0] == "show" else ("-u", url)))


def versions(url: str) -> dict[str, bool]:
    """What is loaded, and whether it is needed."""
    report = json.loads(functions(url, "list", "--json").output)
    assert report["needed"] == OURS
    return {row["version"]: row["needed"] for row in report["libraries"]}


def load_older(client: redis.Redis) -> None:
    client.function_load(library().text.replace(OURS, OLDER))


def test_load_list_and_remove(any_hardened: Hardened) -> None:
    """As an administrator goes through an upgrade; libraries of others are left alone."""
    url, client = any_hardened.server.url, any_hardened.client
    client.function_load("#!lua name=other\nredis.register_function('f', function() end)")
    load_older(client)
    assert versions(url) == {OLDER: False}
    assert f"{OURS}" in functions(url, "list").output
    for _ in range(2):
        assert f"{PREFIX}{OURS} is loaded" in functions(url, "load").output
    assert versions(url) == {OLDER: False, OURS: True}
    assert functions(url, "rm", OLDER).exit_code == 2  # nobody to ask
    assert versions(url) == {OLDER: False, OURS: True}
    assert functions(url, "rm", OLDER, "-y").exit_code == 0
    assert functions(url, "rm", OLDER, "-y").exit_code == 1  # it has gone
    assert "which this installation needs" in functions(url, "rm", PREFIX + OURS, "-y").output
    assert versions(url) == {}
    assert "functions load" in functions(url, "list").output
    assert functions(url, "rm", "*", "-y").exit_code == 2
    assert len(client.function_list()) == 1


def test_show_prints_what_can_be_loaded(any_hardened: Hardened) -> None:
    """By any client; nothing is asked of a server."""
    text = functions("", "show").output
    assert any_hardened.client.function_load(text).decode() == PREFIX + OURS


def test_rights(any_hardened: Hardened) -> None:
    """Each works with its row of the table, and names what it lacks."""
    url = any_hardened.url
    for words in (("load",), ("list",), ("rm", OURS, "-y"), ("show",)):
        rights = ADMINISTRATION[f"functions {words[0]}"]
        for right in rights:
            any_hardened.may(*(set(rights) - {right}))
            result = functions(url, *words)
            assert (result.exit_code, right.lower() in result.output.lower()) == (2, True), words
        any_hardened.may(*rights)
        assert functions(url, *words).exit_code == 0, words


def test_servers_without_functions(fleet: Fleet) -> None:
    """They are told from those where nothing is loaded."""
    for name in set(WITHOUT) & BINARIES.keys():
        result = functions(fleet.flushed(name).url, "list")
        assert (result.exit_code, "7.0 or newer" in result.output) == (2, True)


@pytest.fixture
def functions_only(any_hardened: Hardened, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hardened]:
    """Commands run scripts as functions; nothing is loaded yet."""
    monkeypatch.setenv("LOCO_REDIS_SCRIPTS", "functions")
    yield any_hardened
    any_hardened.client.delete("loco:resources")
    schedulers_are_sound(any_hardened.server)


def test_every_command_works_without_eval(functions_only: Hardened) -> None:
    """With the rights of its row, but for those to run and load scripts."""
    functions_only.load()
    url, client = functions_only.url, functions_only.client
    with governed_fleet(functions_only.server.url) as fleet:
        for command in [*(set(RIGHTS) - {"purge"}), "purge"]:
            rights = under("functions", RIGHTS[command])
            assert not {"EVAL", "EVALSHA", "SCRIPT|LOAD"} & {*rights}
            rules = acl_rules(rights).split()
            client.execute_command("ACL", "SETUSER", "op", "reset", "on", "nopass", *rules)
            rest = CALLS[command]
            if "{waiting}" in rest:
                rest = rest.format(waiting=fleet.observer.requests().waiters[-1].request_id)
            result = invoke(*command.split(), *rest.split(), "-u", url)
            assert result.exit_code == 0, (command, result.output)


def test_doctor(functions_only: Hardened) -> None:
    """It says whether the library is loaded, and what the user lacks to call it."""
    url, client = functions_only.url, functions_only.client

    def found() -> dict[str, tuple[str, str]]:
        report = json.loads(invoke("doctor", "-u", url, "--json").output)
        rows = [row for section in report["sections"] for row in section["findings"]]
        return {row["check"]: (row["state"], row["text"]) for row in rows}

    assert found()["functions"][0] == "wrong"
    assert library().name in found()["functions"][1]
    functions_only.load()
    assert found()["functions"] == ("ok", f"{library().name} is loaded")
    client.execute_command("ACL", "SETUSER", "op", "+acl|dryrun", "+smembers")
    assert found()["scheduler rights"][0] == "ok"
    functions_only.may(*(set(WORKER_RIGHTS) - {"FCALL"}), "ACL|DRYRUN", "SMEMBERS")
    assert found()["scheduler rights"] == (
        "wrong",
        "user op lacks +fcall: no scheduler can work so",
    )
