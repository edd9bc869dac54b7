"""`loco-redis plan`: the list, one plan's steps, its picture."""

from __future__ import annotations

import asyncio
import json
import re
import threading

import pytest

from loco_redis.orchestration.plans import Plan, Step
from tests.cli.calls import invoke
from tests.cli.commands import loco_redis
from tests.cli.look.plans import NIGHTLY, plant
from tests.servers import Server
from tests.waiting import STARTED, wait_until

SIMPLE = Plan([Step("a"), Step("b", depends_on=["a"])])


def test_no_plan(redis_url: str) -> None:
    result = invoke("plan", "-u", redis_url)
    assert result.exit_code == 0
    assert result.output.startswith("no plan at unix://")
    for command in ("status", "graph"):
        result = invoke("plan", command, "nightly", "-u", redis_url)
        assert result.exit_code == 2
        assert "there is no plan 'nightly' at" in result.output
        result = invoke("plan", command, "a{b}", "-u", redis_url)
        assert result.exit_code == 2
        assert "plan_id must be 1 to 128 characters" in result.output
        assert len(result.output.splitlines()) == 1


def test_the_list_has_those_that_run_first(server: Server) -> None:
    """Then those that ended; what has gone is left out."""
    plant(server.url, "ended", SIMPLE)
    plant(server.url, "nightly")
    server.client.zadd("loco:plans", {"gone": 1e12})
    found = json.loads(invoke("plan", "--json", "-u", server.url).output)
    assert [(row["plan_id"], row["state"]) for row in found["plans"]] == [
        ("nightly", "running"),
        ("ended", "done"),
    ]
    assert found["total"] == 3
    first, second = found["plans"]
    assert (first["finished"], first["total"], first["ended"]) == (3, 7, None)
    assert second["created"] <= second["ended"]
    text = invoke("plan", "list", "-u", server.url).output
    assert re.search(r"nightly +the night's work +running +3/7", text)
    assert re.search(r"ended +done +2/2 +0\.\d+s", text)
    assert "nightly" in invoke("plan", "--limit", "1", "-u", server.url).output
    assert "ended" not in invoke("plan", "--limit", "1", "-u", server.url).output


def test_status_says_how_each_step_stands(redis_url: str) -> None:
    """And what it waits for, who runs it, when it is tried again, why it failed."""
    plant(redis_url, "nightly")
    text = invoke("plan", "status", "nightly", "-u", redis_url).output
    head, _, _, _, *rows = text.splitlines()
    assert re.match(r"nightly \(the night's work\) +running ━+.* 3/7 +\d", head)
    told = {row[:9].strip(): " ".join(row[9:].split()) for row in rows}
    assert told["fetch"].startswith("reader done 1 0.0")
    assert re.match(r"flaky pending 1 again in \d+[mh]\d+[sm] after OSError: away", told["flaky"])
    assert told["bad"].endswith("s OSError: away")
    assert told["below bad"] == "below bad skipped"
    assert told["slow"].endswith("by host:1:abc")
    assert told["silent"].endswith("host:1:abc is silent: the step is free for others")
    assert told["report"] == "report pending waits for slow, flaky"


def test_status_as_json(redis_url: str) -> None:
    plant(redis_url, "nightly")
    found = json.loads(invoke("plan", "status", "nightly", "--json", "-u", redis_url).output)
    assert (found["state"], found["finished"], found["total"]) == ("running", 3, 7)
    steps = {step["name"]: step for step in found["steps"]}
    assert {name: step["state"] for name, step in steps.items()} == {
        "fetch": "done",
        "flaky": "pending",
        "bad": "failed",
        "below bad": "skipped",
        "slow": "running",
        "silent": "running",
        "report": "pending",
    }
    assert steps["flaky"]["error"] == steps["bad"]["error"] == "OSError: away"
    assert steps["report"]["depends_on"] == ["slow", "flaky"]
    assert steps["silent"]["due"] <= found["server_time"] < steps["slow"]["due"]


def test_the_graph(redis_url: str) -> None:
    """It can be put into a file as it is."""
    plant(redis_url, "nightly")
    text = invoke("plan", "graph", "nightly", "-u", redis_url).output
    assert text.startswith('flowchart TD\n    s0["fetch"]\n')
    assert "classDef failed" in text
    found = json.loads(invoke("plan", "graph", "nightly", "--json", "-u", redis_url).output)
    assert found["mermaid"].rstrip() == text.rstrip()
    assert found["states"]["bad"] == "failed"
    ordered = Plan([{s.name: s for s in NIGHTLY.steps}[name] for name in found["states"]])
    assert ordered.to_mermaid(found["states"]) == found["mermaid"]


def test_hostile_names_do_nothing_to_a_terminal(redis_url: str) -> None:
    """Escape sequences are spelled out, in names and in errors."""
    evil = "\x1b[2J\x07"
    plan = Plan([Step(f"bad{evil}", agent=f"agent{evil}"), Step("bad")], name=f"plan{evil}")
    plant(redis_url, "evil", plan, error=f"E: {evil}")
    for words in (["list"], ["status", "evil"], ["graph", "evil"]):
        output = invoke("plan", *words, "-u", redis_url).output
        assert "\x1b" not in output
        assert "\x07" not in output
    assert "bad\\x1b[2J\\x07" in invoke("plan", "status", "evil", "-u", redis_url).output


def test_watch_shows_it_until_the_end(server: Server) -> None:
    """On a terminal a live picture; then the last one, and an exit status."""
    plant(server.url, "good", SIMPLE)
    plant(server.url, "bad", Plan([Step("bad")]))
    assert invoke("plan", "status", "good", "--watch", "-u", server.url).exit_code == 0
    assert invoke("plan", "status", "bad", "--watch", "-u", server.url).exit_code == 1
    plant(server.url, "nightly")
    process = loco_redis(
        "plan", "status", "nightly", "--watch", "-i", "0.1", "-u", server.url
    ).start()
    reads = _reads(server)
    wait_until(lambda: _reads(server) > reads + 9, STARTED, "looks of --watch")
    assert asyncio.run(Plan.cancel(server.url, "nightly"))
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, b"")
    assert "cancelled" in out.decode().splitlines()[0]


def _reads(server: Server) -> int:
    """Three for each look."""
    return int(server.client.info("commandstats").get("cmdstat_hscan", {"calls": 0})["calls"])


def test_a_long_error_is_seen_in_full(redis_url: str) -> None:
    plant(redis_url, "p", Plan([Step("bad")]), error="OSError: " + "away " * 100 + "end")
    text = invoke("plan", "status", "p", "-u", redis_url).output
    assert text.count("away") == 100
    assert "end" in text


def test_watch_on_a_terminal_fits_it(server: Server) -> None:
    """What runs or has failed is seen when there is no room for all steps."""
    plan = Plan([*(Step(f"s{n:02}") for n in range(40)), Step("slow"), Step("bad")])
    plant(server.url, "wide", plan)
    command = loco_redis("plan", "status", "wide", "--watch", "-i", "0.1", "-u", server.url)
    reads = _reads(server)

    def cancel() -> None:
        wait_until(lambda: _reads(server) > reads + 27, STARTED, "looks of --watch")
        asyncio.run(Plan.cancel(server.url, "wide"))

    other = threading.Thread(target=cancel)
    other.start()
    status, seen = command.run_on_terminal(rows=14)
    other.join()
    assert status == 1
    live = seen[: seen.index("cancelled")]
    assert "bad" in live
    assert "slow" in live
    assert {*re.findall(r"(\d+) more steps", live)} == {"34"}, live[-900:]


@pytest.mark.parametrize("interval", ["0", "nan", "61"])
def test_the_interval_has_a_range(interval: str) -> None:
    result = invoke("plan", "status", "p", "-i", interval, "-u", "redis://127.0.0.1:1")
    assert result.exit_code == 2
    assert "is not in the range 0.1 to 60" in result.output
