"""The rule of docs/security.md for workers is enough, none of it is too much, and nothing else is
allowed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError, ResponseError

from loco_redis import AsyncLOCOScheduler, BackendPermissionError, SharedResource
from loco_redis._keys import Keys
from loco_redis._rights import OPTIONAL, WORKER
from loco_redis._scripts import VERBS, Scripts
from tests.faults import scene
from tests.faults.conftest import Seen
from tests.servers import Server

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
RULES = dict(re.findall(r"^    ACL SETUSER (\w+) (on .*)$", DOCUMENT.read_text(), re.MULTILINE))
NAME = "llm"
VARS = Keys(NAME).vars.decode()
# What Redis lets everybody do, or what a connection must be able to do before it has a user.
_FREE = {"auth", "hello", "quit", "reset"}


class User:
    """A user of the server, made by a rule of the document."""

    def __init__(self, server: Server, rule: str) -> None:
        self.server, self.rule = server, rule
        self.url = server.url.replace("unix://", "unix://tried:secret@")

    def may(self, *more: str, without: Collection[str] = ()) -> None:
        """The rule without some rights, and then something more."""
        lacking = {f"+{right.lower()}" for right in without}
        words = [word for word in self.rule.split() if word not in lacking]
        self.server.client.execute_command("ACL", "SETUSER", "tried", "reset", *words, *more)

    def call(self, *args: str) -> Any:
        with redis.Redis.from_url(self.url) as client:
            return client.execute_command(*args)

    def state(self) -> list[Any]:
        scripts = Scripts(NAME)
        keys = scripts.keys.all
        return self.server.client.eval(scripts.source("dump"), len(keys), *keys, b"", b"")


@pytest.fixture
def user(any_server: Server) -> Iterator[User]:
    """The one with the least rights."""
    user = User(any_server, RULES["llm_worker"])
    user.may()
    yield user
    any_server.client.execute_command("ACL", "DELUSER", "tried")
    any_server.client.delete("loco:resources")


def test_acl_user_rules_are_those_of_the_code() -> None:
    """The document's rules for workers are what schedulers demand and what they can do without; and
    that is what the scripts call, what runs them, and what the methods read."""
    for name in ("worker", "llm_worker"):
        allowed = {word[1:].upper() for word in RULES[name].split() if word.startswith("+")}
        assert allowed == {*WORKER, *OPTIONAL}
    called = {
        command
        for verb in VERBS
        if verb not in ("dump", "rights")
        for command in re.findall(r"redis\.call\('([A-Z]+)'", Scripts(NAME).source(verb))
    }
    runs_and_reads = {"EVAL", "EVALSHA", "SCRIPT|LOAD", "HSCAN", "LRANGE"}
    assert {*WORKER} == called | runs_and_reads


@pytest.mark.parametrize("rule", ["worker", "llm_worker"])
async def test_acl_user_does_everything(rule: str, user: User, seen: Seen) -> None:
    """A worker's whole life goes well, with the optional rights and without all of them."""
    user.rule = RULES[rule]
    user.may()
    granted = await scene.play(user.url, NAME)
    user.server.client.flushall()
    user.may(without=OPTIONAL)
    granted += await scene.play(user.url, NAME)
    seen("the scene of tests/faults/scene.py, twice", f"{granted} grants, nothing refused")


@pytest.mark.parametrize("exists", [False, True])
async def test_acl_user_without_one_right_writes_nothing(
    user: User, exists: bool, seen: Seen
) -> None:
    """Whichever it is: opening names it, and neither makes nor changes a resource."""
    if exists:
        async with AsyncLOCOScheduler([], SharedResource(NAME, 1), redis=user.server.url):
            pass
    before, named, written = user.state(), 0, 0
    for right in WORKER:
        user.may(without=[right])
        with pytest.raises(BackendPermissionError) as caught:
            await _open(user)
        named += right in caught.value.command
        written += user.state() != before
    seen(f"each of {len(WORKER)} rights taken away", f"{named} named, {written} wrote anything")
    assert (named, written) == (len(WORKER), 0)


async def test_acl_user_without_several_rights_is_told_all(user: User) -> None:
    """In one error; and what is missing of channels and keys, too."""
    user.may(without=["HSET", "ZADD", "EVAL"])
    with pytest.raises(BackendPermissionError, match=r"EVAL, HSET, ZADD"):
        await _open(user)
    user.may("resetchannels")
    with pytest.raises(BackendPermissionError, match=r"PUBLISH to loco:\*"):
        await _open(user)
    user.may("resetkeys", "~other:*")
    with pytest.raises(BackendPermissionError, match=r"on keys loco:\*"):
        await _open(user)
    user.may("-@all")
    with pytest.raises(BackendPermissionError, match=r"EVALSHA, EVAL, SCRIPT\|LOAD"):
        await _open(user)
    assert not user.server.client.exists(VARS)


async def test_acl_user_who_loses_a_right_gets_typed_errors(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """Of calls, and a line in the log of the heartbeat."""
    async with AsyncLOCOScheduler(
        [], SharedResource(NAME, 1), redis=user.url, lease_ttl=scene.LEASE
    ) as scheduler:
        user.may(without=["EVALSHA", "HSCAN"])
        with pytest.raises(BackendPermissionError, match="HSCAN"):
            await scheduler.metrics.cost_by_session()
        with pytest.raises(BackendPermissionError, match="EVALSHA"):
            await scheduler.acquire_start("a")
        while "a heartbeat failed" not in caplog.text:  # noqa: ASYNC110  it comes by a thread
            await asyncio.sleep(0.01)
        assert "does not let this user run EVALSHA" in caplog.text
        user.may()
        async with scheduler.acquire("a"):
            pass


def test_acl_user_may_call_no_further_command(user: User, seen: Seen) -> None:
    """Each that the server knows is refused before it is carried out."""
    allowed = {name.lower() for name in (*WORKER, *OPTIONAL)}
    refused = 0
    for name, arity in _commands(user.server.client):
        words = name.split("|")
        if name in allowed or name in _FREE or (words[0] in allowed and len(words) == 1):
            continue
        arguments = [VARS] * max(abs(arity) - len(words), 0)
        with pytest.raises(ResponseError) as caught:
            user.call(*words, *arguments)
        assert _is_refusal(caught.value), (name, caught.value)
        refused += 1
    assert refused > 150
    seen(f"further commands of {user.server.name}", f"{refused} tried, {refused} refused")


def _commands(client: redis.Redis) -> Iterator[tuple[str, int]]:
    """Each command and subcommand with its arity; containers, which do nothing, left out."""
    for row in client.execute_command("COMMAND").values():
        subcommands = row.get("subcommands") or []
        for sub in subcommands:
            yield sub[0].decode().lower(), sub[1]
        if not subcommands:
            yield row["name"], row["arity"]


def _is_refusal(error: ResponseError) -> bool:
    # DEBUG and MODULE are off by the server's configuration, which is looked at first.
    told = str(error)
    return isinstance(error, NoPermissionError) or "NOPERM" in told or "command not allowed" in told


def test_acl_user_reaches_no_other_key_or_channel(user: User) -> None:
    """Neither by commands nor by Lua."""
    others = ["other", "loco", "Loco:{llm}:vars", "loco:{llm2}:vars", "loco:resources"]
    for key in others:
        for command in (
            ("HSET", key, "f", "v"),
            ("HGET", key, "f"),
            ("DEL", VARS, key),
            ("XADD", key, "*", "f", "v"),
            ("PUBLISH", key, "m"),
            ("SUBSCRIBE", key),
            ("EVAL", "return redis.call('HGET', KEYS[1], 'f')", "1", key),
            ("EVAL", f"return redis.call('HSET', '{key}', 'f', 'v')", "0"),
            ("EVAL", f"return redis.call('PUBLISH', '{key}', 'm')", "0"),
        ):
            with pytest.raises(ResponseError) as caught:
                user.call(*command)
            told = str(caught.value)
            words = ("NOPERM", "ACL fail", "can't access", "can't publish", "permission")
            assert _is_refusal(caught.value) or any(map(told.__contains__, words)), (command, told)
    assert user.server.client.dbsize() == 0


async def _open(user: User) -> None:
    scheduler = AsyncLOCOScheduler([], SharedResource(NAME, 1), redis=user.url)
    try:
        await scheduler.snapshot()
    finally:
        await scheduler.aclose()
