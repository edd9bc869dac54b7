"""`loco-redis doctor`: what it finds in a healthy fleet, and in everything that is made wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest
import redis

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._keys import Keys
from loco_redis._rights import OPTIONAL, WORKER, acl_rules
from loco_redis._scripts import Command, Scripts
from loco_redis._server import EmbeddedServer, _free_port
from loco_redis.cli._rights import RIGHTS
from loco_redis.cli.look import _rights_check as rights_check
from loco_redis.cli.look._here import environment, frameworks
from loco_redis.observe import Link
from tests.cli.calls import invoke
from tests.cli.commands import loco_redis
from tests.cli.fleets import Fleet
from tests.servers import BINARIES, DEFAULT, Server
from tests.waiting import wait_until

NAME = "llm_api"
KEYS = Keys(NAME)


def examined(url: str, *options: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit status, and by check what was found."""
    result = invoke("doctor", "--json", "-u", url, *options)
    report = json.loads(result.output)
    found: dict[str, list[dict[str, str]]] = {}
    for section in report["sections"]:
        for finding in section["findings"]:
            found.setdefault(finding["check"], []).append(finding)
    states = [finding["state"] for findings in found.values() for finding in findings]
    assert (report["wrong"], report["notes"]) == (states.count("wrong"), states.count("note"))
    return result.exit_code, found


class Hand:
    """Runs scripts by hand, as no scheduler would."""

    def __init__(self, url: str) -> None:
        self._scripts, self._link = Scripts(NAME), Link(url)
        self._opening = {"seen": 0, "info": "h|1", "alpha": None, "max_waiters": None}

    def open(self, session: str, lease: float = 30.0) -> None:
        units = {"capacity": 1, "lease": round(lease * 1e6)}
        self._run(self._scripts.open(session=session, **self._opening, **units))

    def submit(self, session: str, attempts: int) -> None:
        call = {"session": session, "floor": 1, "seen": 0, "sequence": 1, "agent": b"a"}
        self._run(
            self._scripts.submit(**call, weight=1000, max_attempts=attempts, body=b"the-prompt")
        )

    def acquire(self, session: str, sequence: int) -> None:
        call = {"session": session, "floor": 1, "seen": 0, "agent": b"a", "weight": None}
        self._run(self._scripts.acquire(**call, sequence=sequence))

    def close(self, session: str) -> None:
        self._run(self._scripts.close(session=session, seen=0))

    def _run(self, command: Command[Any]) -> None:
        self._link.run(self._scripts, command)


@pytest.fixture
def hand(server: Server) -> Iterator[Hand]:
    """What it leaves is removed: it may be broken."""
    server.client.sadd("loco:resources", NAME)
    hand = Hand(server.url)
    yield hand
    hand._link.close()
    server.client.flushall()


def test_a_healthy_fleet(any_server: Server) -> None:
    """On each server: nothing is wrong; without an AOF there is a note."""
    with Fleet(any_server.url, NAME, capacity=2, events=100) as fleet:
        fleet.hold("a")
        fleet.hold("b")
        fleet.wait("c")
        status, found = examined(any_server.url)
    assert status == 0
    assert {check for check, (one, *_) in found.items() if one["state"] != "ok"} == {"persistence"}
    assert found["work"][0]["text"] == "2 of 2 slots held, 1 waiting"
    assert found["sessions"][0]["text"] == "2 alive"
    assert re.fullmatch(r"\d+ rows keep all 9 invariants", found["rows"][0]["text"])
    assert found["scripts"][0]["text"].startswith("all ")
    assert re.match(r"(Redis|Valkey) \d+\.\d+", found["version"][0]["text"])


def test_text_for_people(fleet_at_work: Fleet) -> None:
    """The verdict first, then a line for each check: plain on a pipe, 80 columns on a terminal."""
    lines = invoke("doctor", "-u", fleet_at_work.url).output.splitlines()
    assert re.fullmatch(r"nothing wrong in \d+ checks, 1 note", lines[0])
    assert {"here", f"server {fleet_at_work.url}", "resource llm_api"} <= set(lines)
    assert any(re.match(r"ok +eviction +noeviction", line) for line in lines)
    assert any(re.match(r"note +persistence +no AOF", line) for line in lines)
    assert "-> CONFIG SET appendonly yes" in "\n".join(lines)
    assert "\x1b" not in "\n".join(lines)
    status, shown = loco_redis("doctor", "-u", fleet_at_work.url).run_on_terminal(columns=80)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert status == 0
    assert plain != shown
    assert max(map(len, plain.splitlines())) <= 80


def test_it_writes_nothing(hand: Hand, server: Server) -> None:
    """Not even to find out about rights: the server counts no change."""
    hand.open("s1")
    before = server.client.info("persistence")["rdb_changes_since_last_save"]
    assert examined(server.url, "--deep")[0] == 0
    assert server.client.info("persistence")["rdb_changes_since_last_save"] == before


def test_an_orphan_row_is_wrong_and_named(hand: Hand, server: Server) -> None:
    """A request that no session owns; its agent's name does nothing to the terminal."""
    hand.open("s1")
    server.client.hset(KEYS.requests, "ghost:000000000001", "W|b|1|0|1000|1||\x1b[31magent")
    status, found = examined(server.url)
    assert status == 1
    texts = [finding["text"] for finding in found["rows"] if finding["state"] == "wrong"]
    assert any("'ghost:000000000001' has no session" in text for text in texts)
    result = invoke("doctor", "-u", server.url)
    assert result.exit_code == 1
    assert re.match(r"\d of \d+ checks found something wrong", result.output)
    assert "\x1b" not in result.output


def test_rows_that_cannot_be_read(hand: Hand, server: Server) -> None:
    """A key of another type, and a row of another form, are found and are no traceback."""
    hand.open("s1")
    server.client.hset(KEYS.requests, "s1:000000000001", "nonsense")
    status, found = examined(server.url)
    assert status == 1
    assert any("unreadable row" in finding["text"] for finding in found["rows"])
    server.client.delete(KEYS.loads)
    server.client.set(KEYS.loads, "text")
    status, found = examined(server.url)
    assert status == 1
    assert "loads" in found["reading"][0]["text"]
    server.client.hset(KEYS.vars, "counters", "1|2")
    server.client.delete(KEYS.loads)
    assert examined(server.url)[1]["reading"][0]["state"] == "wrong"


def test_waiters_without_a_session_are_wrong(hand: Hand, server: Server) -> None:
    hand.open("s1")
    hand.acquire("s1", 1)
    hand.acquire("s1", 2)
    server.client.delete(*(key for key in KEYS.all if key.endswith((b"sessions", b"deadlines"))))
    status, found = examined(server.url)
    assert (status, found["work"][0]["state"]) == (1, "wrong")
    assert "1 waiting, but no session" in found["work"][0]["text"]


def test_another_schema_is_wrong(hand: Hand, server: Server) -> None:
    """And nothing more is read of it."""
    hand.open("s1")
    server.client.hset(KEYS.vars, "schema", "99")
    status, found = examined(server.url)
    assert (status, found["schema"][0]["text"][:12]) == (1, "stored is 99")
    assert "rows" not in found


def test_stale_sessions_and_dead_tasks_are_notes(hand: Hand, server: Server) -> None:
    """Of a process that has gone; no payload is shown."""
    hand.open("s1")
    hand.submit("s1", attempts=1)
    hand.acquire("s1", 2)
    hand.close("s1")
    hand.open("s2")
    capacity, alpha, _lease, *rest = server.client.hget(KEYS.vars, "config").split(b"|")
    server.client.hset(KEYS.vars, "config", b"|".join((capacity, alpha, b"1000", *rest)))
    wait_until(lambda: examined(server.url)[1]["sessions"][0]["state"] == "note")
    status, found = examined(server.url)
    assert status == 0
    assert found["sessions"][0]["text"].startswith("1 of 1 are stale: nobody has been heard of")
    assert found["dead tasks"][0]["text"].startswith("1 of 1 durable tasks")
    assert "the-prompt" not in invoke("doctor", "-u", server.url).output


async def test_paused_is_a_note(redis_url: str) -> None:
    async with AsyncLOCOScheduler([], SharedResource(NAME, 1), redis=redis_url) as scheduler:
        await scheduler.operations.pause()
        _, found = examined(redis_url)
    assert "paused: nothing is granted" in found["work"][0]["text"]
    assert found["work"][0]["advice"] == "loco-redis resume"


def test_a_name_without_a_resource(server: Server) -> None:
    """In the list and gone: a note, or wrong if rows are left. Nowhere: bad usage."""
    server.client.sadd("loco:resources", NAME)
    status, found = examined(server.url)
    assert (status, found["registry"][0]["advice"]) == (0, f"loco-redis purge -n {NAME}")
    server.client.hset(KEYS.agents, "left", "agent")
    status, found = examined(server.url, "-n", NAME)
    assert (status, found["rows"][0]["text"]) == (
        1,
        "rows without a configuration: 1 in agents",
    )
    server.client.flushall()
    result = invoke("doctor", "-u", server.url, "-n", NAME)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)


def test_a_resource_that_is_not_listed(hand: Hand, server: Server) -> None:
    hand.open("s1")
    server.client.delete("loco:resources")
    assert examined(server.url)[1]["resources"][0]["text"] == "none yet"
    _, found = examined(server.url, "-n", NAME)
    assert found["resources"][0]["state"] == "note"
    assert found["rows"][0]["state"] == "ok"


def test_many_rows_are_read_only_when_asked(hand: Hand, server: Server) -> None:
    """One script over everything holds up the others."""
    hand.open("s1")
    server.client.hset(KEYS.agents, mapping={f"a{n}": "agent" for n in range(2100)})
    _, found = examined(server.url)
    assert (found["rows"][0]["state"], found["rows"][0]["text"][:14]) == ("note", "not looked at:")
    assert "--deep" in found["rows"][0]["advice"]
    _, found = examined(server.url, "--deep")
    assert found["rows"][0]["text"].startswith("2,1")


# The server


def test_an_eviction_policy_is_wrong() -> None:
    """Keys would vanish; and a full memory is told."""
    options = ("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb")
    with EmbeddedServer.start(BINARIES[DEFAULT], extra_args=options) as own:
        status, found = examined(own.url)
        assert (status, found["eviction"][0]["state"]) == (1, "wrong")
        assert found["eviction"][0]["text"].startswith("allkeys-lru: ")
        assert "noeviction" in found["eviction"][0]["advice"]
        assert "of 105 MB used" in found["memory"][0]["text"]
        with redis.Redis.from_url(own.url) as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1mb")
        assert examined(own.url)[1]["memory"][0]["state"] == "wrong"


def test_persistence_by_aof_is_fine() -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with EmbeddedServer.start(BINARIES[DEFAULT], extra_args=options) as own:
        assert examined(own.url)[1]["persistence"][0]["text"] == "AOF, always"


def test_a_replica_is_wrong() -> None:
    """It names the master; the master counts its replicas."""
    at_once = ("--repl-diskless-sync-delay", "0")
    with (
        EmbeddedServer.start(BINARIES[DEFAULT], tcp=True, extra_args=at_once) as master,
        EmbeddedServer.start(BINARIES[DEFAULT], tcp=True) as replica,
    ):
        host, port = master.url.removeprefix("redis://").removesuffix("/0").split(":")
        with redis.Redis.from_url(replica.url) as client:
            client.execute_command("REPLICAOF", host, port)
            wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        status, found = examined(replica.url)
        assert (status, found["role"][0]["state"]) == (1, "wrong")
        assert f"{host}:{port}" in found["role"][0]["advice"]
        assert examined(master.url)[1]["replicas"][0]["text"].startswith("1: ")


def test_a_cluster() -> None:
    """The slot of a resource and its node are named; a node alone is the wrong URL."""
    options = ("--cluster-enabled", "yes", "--cluster-port", str(_free_port()))
    with EmbeddedServer.start(BINARIES[DEFAULT], tcp=True, extra_args=options) as node:
        with redis.Redis.from_url(node.url) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: client.cluster("info")["cluster_state"] == "ok")
        address = node.url.removeprefix("redis://").removesuffix("/0")
        url = f"redis+cluster://{address}"
        assert examined(url)[0] == 0
        with Fleet(url, NAME, capacity=1) as fleet:
            fleet.hold("a")
            status, found = examined(url)
        assert (status, found["rows"][0]["state"]) == (0, "ok")
        assert re.fullmatch(rf"slot \d+, on redis://{address}/0", found["cluster"][0]["text"])
        assert found["role"][0]["text"] == "master"
        status, found = examined(node.url)
        assert (status, found["cluster"][0]["advice"]) == (1, "use redis+cluster://")


# Rights


@pytest.fixture
def few(fleet_at_work: Fleet, server: Server) -> Iterator[str]:
    """The URL of a user who may do little."""
    few_rights = ["+ping", "+hget", "+hmget", "+evalsha", "+smembers", "+time"]
    server.client.acl_setuser(
        "few", enabled=True, passwords=["+hunter2"], keys=["loco:*"], commands=few_rights
    )
    yield server.url.replace("unix://", "unix://few:hunter2@")
    server.client.acl_deluser("few")


def test_a_user_of_few_rights(few: str) -> None:
    """Each answer that is refused names the right; nothing crashes, no password is shown."""
    status, found = examined(few)
    assert found["eviction"][0]["text"] == "unknown: needs the right +config|get"
    assert found["role"][0]["text"] == "unknown: needs the right +info"
    assert found["scripts"][0]["text"] == "unknown: needs the right +script|exists"
    assert found["reading"][0]["text"] == "unknown: needs the right +hlen"
    assert "+subscribe" in found["hints"][0]["text"]
    assert (status, found["scheduler rights"][0]["state"]) == (1, "wrong")
    assert "+zcard" in found["scheduler rights"][0]["advice"]
    assert "+hscan (status, " in found["command rights"][0]["text"]
    assert "hunter2" not in invoke("doctor", "-u", few).output


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_user_of_the_least_rights(dry_run: bool, any_server: Server) -> None:
    """Exactly what the commands of ours need lets all of them work, and the doctor look."""
    names = {name for needed in RIGHTS.values() for name in needed} | {*OPTIONAL, "EXISTS"}
    names |= {"ACL|DRYRUN"} if dry_run and any_server.name != "redis-6.2" else set()
    client = any_server.client
    client.execute_command("ACL SETUSER", "least", "on", "nopass", *_rules(names))
    try:
        with Fleet(any_server.url, NAME, capacity=1):
            status, found = examined(any_server.url.replace("unix://", "unix://least:x@"))
    finally:
        client.acl_deluser("least")
    assert status == 0
    assert found["command rights"][0]["state"] == "ok"
    assert found["hints"][0]["state"] == "ok"
    is_known = "ACL|DRYRUN" in names
    assert found["scheduler rights"][0]["state"] == ("ok" if is_known else "note")
    assert found["rows"][0]["text"] == "unknown: needs the right +type"


def _rules(names: set[str]) -> list[str]:
    return acl_rules(tuple(names)).split()


def test_a_user_who_may_only_look(server: Server) -> None:
    """Not wrong: somebody has meant it so. What it lacks to work is told."""
    rules = ["~loco:*", "&loco:*", "+@read", "+@connection", "+@scripting", "+info", "+time"]
    server.client.execute_command(
        "ACL SETUSER", "ro", "on", "nopass", *rules, "+acl|dryrun", "-@write"
    )
    status, found = examined(server.url.replace("unix://", "unix://ro:x@"))
    server.client.acl_deluser("ro")
    assert (status, found["scheduler rights"][0]["state"]) == (0, "note")
    assert "user ro may look" in found["scheduler rights"][0]["text"]
    assert "+hset" in found["scheduler rights"][0]["advice"]


def test_keys_out_of_reach(server: Server) -> None:
    """Rights to commands are not enough."""
    server.client.execute_command(
        "ACL SETUSER", "away", "on", "nopass", "~other:*", "resetchannels", "+@all"
    )
    status, found = examined(server.url.replace("unix://", "unix://away:x@"), "-n", NAME)
    server.client.acl_deluser("away")
    assert status == 1
    assert "~loco:*" in found["scheduler rights"][0]["text"]
    assert "&loco:*" in found["hints"][0]["text"]
    assert found["resources"][0]["text"] == "unknown: needs the right ~loco:*"


def test_each_redis_command_of_ours_is_tried() -> None:
    """Also those that scripts call: this fails when a new one comes without its sample."""
    ours = {name for needed in RIGHTS.values() for name in needed} | {*OPTIONAL}
    tried = rights_check.READS.keys() | rights_check.WRITES.keys()
    assert ours | {*WORKER} <= tried


def test_each_sample_is_accepted(server: Server) -> None:
    """None of them fails for its number of arguments."""
    with Link(server.url) as link:
        assert [*rights_check._dry_runs(link, "default", NAME)] == []


# This host


def test_where_the_url_comes_from(server: Server) -> None:
    """--redis, LOCO_REDIS_URL or REDIS_URL, in this order."""
    result = invoke("doctor", "--json", REDIS_URL=server.url)
    assert f"{server.url} (from REDIS_URL)" in result.output
    result = invoke("doctor", "--json", LOCO_REDIS_URL=server.url, REDIS_URL="redis://nobody")
    assert "(from LOCO_REDIS_URL)" in result.output
    result = invoke("doctor", "-u", "redis://u:secret@127.0.0.1:1")
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "secret" not in result.output


def test_the_environment_is_told_without_passwords() -> None:
    found = environment({"LOCO_REDIS_URL": "redis://u:secret@h", "LOCO_LOG": "loud"})
    assert (found.state, found.text) == ("note", "LOCO_REDIS_URL=redis://***@h, LOCO_LOG=loud")
    assert found.advice == "set LOCO_LOG to pretty or json"
    assert environment({"LOCO_LOG": "JSON"}).state == "ok"


def test_frameworks_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are installed: their versions against those tested, and the lines to paste."""
    versions = {"anthropic": "2.1.0", "openai": "9.0"}

    def installed(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr("loco_redis.adapters.catalogue.version", installed)
    tested, not_tested = frameworks()
    assert (tested.check, tested.state) == ("Anthropic SDK", "ok")
    assert re.fullmatch(r"anthropic 2\.1\.0, tested >=[0-9.]+,<[0-9.]+", tested.text)
    assert tested.advice.endswith("client = AnthropicAdapter(scheduler).wrap(client)")
    assert (not_tested.check, not_tested.state) == ("OpenAI SDK", "note")
    assert not_tested.text.endswith(": this one was not")
    assert not_tested.advice == "pip install 'loco-redis[openai]' takes a tested version"
    versions.clear()
    (none,) = frameworks()
    assert none.text.startswith("none is installed of those with an adapter: Anthropic SDK, ")
