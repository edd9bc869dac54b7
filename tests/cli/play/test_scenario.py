"""Real scenarios, of a second or two: figures that agree, the picture, what is refused, Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import struct
from pathlib import Path
from typing import Any

import pytest

from loco_redis.cli.play._scenario_schedule import SCENARIOS
from tests.cli.calls import invoke
from tests.cli.commands import Command, loco_redis, needs_proc
from tests.servers import Server
from tests.waiting import STARTED, wait_until

pytestmark = needs_proc


def scenario(name: str, *options: str, seconds: float = 1.5) -> Command:
    return loco_redis("scenario", name, "--seconds", str(seconds), *options)


def found(command: Command) -> dict[str, Any]:
    """What `--json` prints, once it has been looked at: its figures agree with each other."""
    status, out, err = command.run()
    assert (status, err) == (0, ""), out + err
    command.assert_nothing_runs()
    report: dict[str, Any] = json.loads(out)
    assert (report["schema"], report["failures"], report["left"]) == (1, [], 0)
    assert report["grants"] == report["requests"] == sum(c["grants"] for c in report["classes"])
    assert report["agents"] >= sum(c["agents"] for c in report["classes"])
    assert report["peak"] == report["most_seen"] == report["capacity"]
    assert report["took"] >= 1.1
    assert 0.3 < report["utilization"] <= 1
    assert 0 < report["fairness_of_service"] <= 1
    assert 0 < report["fairness_of_waits"] <= 1
    for row in report["classes"]:
        for waits in (row["wait_seconds"], row["wait_ticks"], row["fifo_seconds"]):
            assert 0 <= waits["p50"] <= waits["p95"] <= waits["p99"] <= waits["max"]
            assert 0 <= waits["mean"] <= waits["max"]
        # Nobody waits longer than the run took, or for more releases than there were.
        assert row["wait_seconds"]["max"] < report["took"]
        assert row["wait_ticks"]["max"] < report["grants"]
    return report


@pytest.mark.parametrize("name", ["burst", "fairness", "mdash_security"])
def test_all_is_granted_once_and_no_key_is_left(name: str, server: Server) -> None:
    """On a server that is given; the report says which scenario it was."""
    report = found(scenario(name, "--json", "-u", server.url))
    assert report["scenario"] == name
    assert server.client.keys() == []


@pytest.mark.alone
def test_webhooks_wait_less_than_batch_and_there_is_a_picture(
    server: Server, tmp_path: Path
) -> None:
    """With "throughput" the depth of the spike counts: it waits less than first come, first served
    would have it wait. A folder gets the picture and the figures."""
    folder = tmp_path / "new"
    options = ("--optimize-for", "throughput", "--out", str(folder), "--json", "-u", server.url)
    report = found(scenario("webhook_spike", *options, seconds=4))
    assert server.client.keys() == []
    batch, webhook = report["classes"]
    assert (batch["name"], webhook["name"]) == ("batch", "webhook")
    assert webhook["wait_seconds"]["p50"] < batch["wait_seconds"]["p50"]
    assert webhook["wait_seconds"]["p50"] < webhook["fifo_seconds"]["p50"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "webhook_spike.json",
        "webhook_spike.png",
    ]
    assert json.loads((folder / "webhook_spike.json").read_text()) == report
    png = (folder / "webhook_spike.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (1080, 720)
    assert 20_000 < len(png) < 120_000


def test_on_a_narrow_terminal(tmp_path: Path) -> None:
    """Progress while it runs, then tables that fit into 80 columns; three processes; an SVG."""
    path = tmp_path / "review.svg"
    options = ("--out", str(path), "--processes", "3", "--agents", "30")
    command = scenario("mdash_security", *options, seconds=1)
    status, got = command.run_on_terminal(columns=80)
    assert status == 0, got
    command.assert_nothing_runs()
    assert re.search(r"\d+ of \d+ requests served", got)
    after = got[got.rindex("\x1b[?25h") :]
    assert "30 agents in 3 processes, 6 slots, balanced, seed 1" in after
    for word in ("triage", "scan", "verify", "report", "fifo p50", "ticks p50", "utilisation"):
        assert word in after
    assert "…" not in after
    text = path.read_text("utf-8")
    assert text.startswith("<?xml")
    assert "</svg>" in text


def test_without_matplotlib_the_figures_still_come(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one line names the extra; no empty file is left."""
    missing = "raise ModuleNotFoundError(\"No module named 'matplotlib'\", name='matplotlib')"
    (tmp_path / "matplotlib.py").write_text(missing)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = ("--out", str(tmp_path / "burst.png"), "-u", server.url)
    command = scenario("burst", *options, seconds=1)
    status, out, err = command.run()
    assert status == 1
    assert "utilisation" in out
    assert "picture:" not in out
    assert err == (
        "Error: there is no picture: matplotlib is not installed: pip install 'loco-redis[bench]'\n"
    )
    assert not (tmp_path / "burst.png").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle(server: Server, number: signal.Signals) -> None:
    """Neither a process nor a key is left."""
    command = scenario("webhook_spike", "-u", server.url, seconds=600)
    process = command.start()
    wait_until(lambda: server.client.keys("*:holders"), STARTED, "a holder")
    process.send_signal(number)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (128 + number, b"")
    assert err.decode() == "interrupted: the workers have ended\n"
    assert server.client.keys() == []
    command.assert_nothing_runs()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["flood"], "'flood' is not one of 'burst', 'fairness', 'webhook_spike', 'mdash_security'"),
        (["burst", "--agents", "1"], "--agents 1 is too few for burst: give 2 or more"),
        (["mdash_security", "--agents", "4"], "is too few for mdash_security: give 5 or more"),
        (["burst", "--processes", "0"], "0 is not in the range 1<=x<=64"),
        (["burst", "--capacity", "1000"], "1000 is not in the range 1<=x<=100"),
        (["burst", "--seconds", "0.5"], "0.5 is not in the range 1 to 3600"),
        (["burst", "--seconds", "nan"], "nan is not in the range"),
        (["burst", "--optimize-for", "fun"], "'fun' is not one of"),
        (["burst", "--out", "a.jpg"], "a.jpg is no picture that can be drawn: end it in .png or"),
        (["burst", "--out", "/proc/no/a.png"], "cannot write /proc/no/a.png: "),
        (["burst", "-u", "redis://u:secret@127.0.0.1:1"], "no Redis at redis://***@127"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    """It says what is wrong and what to do, shows no credentials, and ends by status 2."""
    result = invoke("scenario", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
    assert "secret" not in result.output


def test_help_has_an_example() -> None:
    """A call of that very command, and a line for each scenario."""
    result = invoke("scenario", "-h")
    assert result.exit_code == 0
    assert "Example:  loco-redis scenario" in result.output
    for name in SCENARIOS:
        assert re.search(rf"^  {name} ", result.output, re.M)
