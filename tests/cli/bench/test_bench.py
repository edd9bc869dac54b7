"""Real runs, short ones: on one machine, on hosts that join, with kills, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from loco_redis._endpoint import Endpoint
from loco_redis.cli.bench._meeting import Beat, Meeting, Word
from tests.cli.bench.plans import plan
from tests.cli.calls import invoke
from tests.cli.commands import Command, loco_redis, needs_proc
from tests.servers import Server
from tests.waiting import STARTED, wait_until

pytestmark = needs_proc

SMALL = ("--tasks", "8", "--capacity", "4", "--hold", "5ms", "--warmup", "500ms", "--lease", "2s")


def bench(server: Server, *options: str) -> Command:
    return loco_redis("bench", "run", *SMALL, "-u", server.url, *options)


def found(command: Command) -> dict[str, Any]:
    status, out, err = command.run()
    assert status == 0, out + err
    report: dict[str, Any] = json.loads(out)
    assert report["ok"], report["failures"]
    command.assert_nothing_runs()
    return report


@pytest.mark.alone
def test_one_machine_plays_hosts(server: Server) -> None:
    """Two hosts with two workers each serve about what was asked; two runs make a summary."""
    report = found(bench(server, "--duration", "2s", "--runs", "2", "--json"))
    first, second = report["runs"]
    for run in (first, second):
        assert [(host["name"], host["workers"]) for host in run["hosts"]] == [
            ("host-1", 2),
            ("host-2", 2),
        ]
        assert 0 < run["grants_per_second"] <= 4 / 0.005
        assert run["grants"] >= 0.5 * 2 * run["arrivals_per_second"]
        assert run["grants"] == sum(moment["grants"] for moment in run["timeline"])
        assert 0 < run["utilization"] <= 1
        assert run["server"]["scripts_per_grant"] >= 1
        assert run["server"]["script_usec_per_grant"] > 0
        assert run["handoff"]["count"] > 0
        assert 0 < run["verdict"]["peak_seen"] <= 4
        assert run["verdict"]["holds"] > 0
        assert {host["offset_error"] < 0.1 for host in run["hosts"]} == {True}
        assert run["wait"]["count"] == sum(kind["wait"]["count"] for kind in run["classes"])
    grants = next(row for row in report["summary"] if row["name"] == "grants")
    rates = sorted(run["grants_per_second"] for run in (first, second))
    assert [grants["least"], grants["most"]] == rates
    assert server.client.keys() == []


def test_killed_workers_are_replaced_and_their_slots_come_back(server: Server) -> None:
    """Both workers are killed, so at the end none but others can be granted anything. Nobody leaves
    on purpose: the oracle has looked at what the dead had held as well."""
    options = ("--hosts", "1", "--workers", "2", "--hold", "300ms", "--load", "max")
    report = found(bench(server, *options, "--duration", "10s", "--kill-every", "3s", "--json"))
    (run,) = report["runs"]
    assert run["hosts"][0]["killed"] == 2
    assert run["verdict"]["reclaims"] >= 1
    assert run["verdict"]["reclaim_longest"] <= run["verdict"]["reclaim_bound"]
    assert run["timeline"][-1]["grants"] > 0
    assert run["verdict"]["reclaimed"] >= 1


def test_hosts_that_join_meet_through_redis(server: Server) -> None:
    """Two workers that were there first wait for the run; each is a host of it, by its name."""
    hosts = [
        loco_redis("bench", "worker", "--run", "meet", "--as", name, "-u", server.url)
        for name in ("east", "west")
    ]
    running = [host.start() for host in hosts]
    options = ("--join", "2", "--run", "meet", "--duration", "3s", "--workers", "1", "--json")
    report = found(bench(server, *options))
    assert [host["name"] for host in report["runs"][0]["hosts"]] == ["east", "west"]
    assert all(host["grants"] > 0 for host in report["runs"][0]["hosts"])
    for host, process in zip(hosts, running, strict=True):
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0, err.decode()
        assert b"has joined run meet" in err
        host.assert_nothing_runs()
    assert server.client.keys() == []


def test_a_trace_is_run_and_the_report_written(server: Server, tmp_path: Path) -> None:
    """The report is Markdown beside its pictures and the same in JSON."""
    trace = tmp_path / "trace.csv"
    rows = (f"2023-11-16 18:00:{n / 10:06.3f},{100 + 900 * (n % 7)},{n % 50}" for n in range(500))
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows))
    options = ("--profile", "trace", "--trace", str(trace), "--duration", "2s")
    report = found(bench(server, *options, "--out", str(tmp_path / "out"), "--json"))
    assert {kind["name"] for kind in report["runs"][0]["classes"]} == {"short", "medium", "long"}
    assert json.loads((tmp_path / "out" / "report.json").read_text())["plan"]["profile"] == "trace"
    written = (tmp_path / "out" / "report.md").read_text()
    pictures = re.findall(r"\]\(([^)]+\.png)\)", written)
    assert pictures
    assert all((tmp_path / "out" / picture).stat().st_size > 5000 for picture in pictures)


def test_without_a_redis_it_brings_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And prints what it found for people."""
    monkeypatch.delenv("LOCO_REDIS_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    command = loco_redis("bench", "run", *SMALL, "--hosts", "1", "--duration", "1s")
    status, out, err = command.run()
    assert status == 0, out + err
    assert "grants/s" in out
    assert "every promise held" in out
    command.assert_nothing_runs()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_ends_everything(
    server: Server, number: signal.Signals, status: int
) -> None:
    """In the middle of a run: no process and no key is left."""
    command = bench(server, "--duration", "60s")
    process = command.start()
    holders = b"loco:{bench-"
    wait_until(
        lambda: any(key.startswith(holders) and key.endswith(b":holders") for key in keys(server)),
        STARTED,
        "a slot to be held",
    )
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status, err.decode()
    assert b"Traceback" not in err
    command.assert_nothing_runs()
    assert keys(server) == []


def keys(server: Server) -> list[bytes]:
    found: list[bytes] = server.client.keys()
    return found


def test_a_host_whose_conductor_dies_ends_by_itself(server: Server) -> None:
    """The conductor is killed: it cannot say that it is over, but its keys are taken away."""
    host = loco_redis("bench", "worker", "--run", "orphan", "-u", server.url)
    process = host.start()
    conductor = bench(server, "--join", "2", "--run", "orphan", "--duration", "60s")
    conducting = conductor.start()
    with Endpoint.parse(server.url).sync_client() as client:
        meeting = Meeting(client, "orphan")
        wait_until(lambda: bool(meeting.look()), STARTED, "the host")
        conducting.kill()
        conducting.communicate(timeout=20)
        meeting.end()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b"run orphan is gone" in err
    host.assert_nothing_runs()
    assert keys(server) == []


def test_who_does_not_come_is_named(server: Server) -> None:
    result = invoke(
        *f"bench run --join 2 --run alone --patience 0.5s -u {server.url}".split(),
    )
    assert result.exit_code == 1
    assert "0 of 2 hosts came within 0.5 s (none)" in result.output
    assert keys(server) == []


def test_a_run_of_the_same_name_is_not_disturbed(server: Server) -> None:
    with Endpoint.parse(server.url).sync_client() as client:
        assert Meeting(client, "twice").begin(plan(id="twice"), None)
        result = invoke(*f"bench run --run twice -u {server.url}".split())
        assert result.exit_code == 2
        assert "a run 'twice' is under way here" in result.output
        assert Meeting(client, "twice").plan() == plan(id="twice")
        Meeting(client, "twice").end()


def test_a_host_is_told_why_it_cannot_join(server: Server) -> None:
    """No run, another version, a name that is taken: nothing is written."""
    call = f"bench worker --run odd --as me --patience 0 -u {server.url}".split()
    result = invoke(*call)
    assert result.exit_code == 2
    assert "no run 'odd' here after 0 s" in result.output
    with Endpoint.parse(server.url).sync_client() as client:
        meeting = Meeting(client, "odd")
        meeting.begin(plan(id="odd", version="0.0.1"), None)
        result = invoke(*call)
        assert result.exit_code == 2
        assert "the run is of loco-redis 0.0.1" in result.output
        assert meeting.look() == {}
        meeting.end()
        meeting.begin(plan(id="odd", version=version("loco-redis")), None)
        assert meeting.join(Beat("me"))
        result = invoke(*call)
        assert result.exit_code == 2
        assert "a host named 'me' has joined already" in result.output
        meeting.end()


def test_a_host_too_many_is_told_so(server: Server) -> None:
    """And leaves nothing of itself."""
    with Endpoint.parse(server.url).sync_client() as client:
        meeting = Meeting(client, "full")
        meeting.begin(plan(id="full", version=version("loco-redis")), None)
        meeting.say(Word(1, "bench-full-1", ("east", "west")))
        result = invoke(*f"bench worker --run full --as south -u {server.url}".split())
        assert result.exit_code == 2
        assert "run full has its 2 hosts already" in result.output
        assert meeting.look() == {}
        meeting.end()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--load 0", "'0' is neither `max` nor a number"),
        ("--load nan", "'nan' is neither `max` nor a number"),
        ("--hold 0", "0 is not in the range"),
        ("--profile trace", "--profile trace and --trace FILE go together"),
        ("--trace pyproject.toml", "--profile trace and --trace FILE go together"),
        ("--profile trace --trace pyproject.toml", "pyproject.toml, line 1: no column TIMESTAMP"),
        ("--netem 'loss 1%' -u redis://h", "--netem makes a network of its own"),
        ("--run a/b", "'a/b' is not 1 to 40 letters"),
        ("--hosts 0", "0 is not in the range"),
        ("--lease 0.001", "lease"),
        ("-u redis://127.0.0.1:1", "127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options: str, said: str) -> None:
    result = invoke(*shlex.split(f"bench run {options}"))
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_cluster_is_measured_at_the_node_that_has_the_resource(cluster_url: str) -> None:
    command = loco_redis("bench", "run", *SMALL, "--hosts", "1", "--duration", "1s", "--json")
    command = replace(command, arguments=(*command.arguments, "-u", cluster_url))
    (run,) = found(command)["runs"]
    assert run["server"]["scripts_per_grant"] >= 1
    assert 0 <= run["hosts"][0]["offset_error"] < 0.1
