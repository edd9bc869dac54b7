"""`loco-redis top`: one picture on a pipe, a live one on a real pseudo-terminal."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from loco_redis import LOCOScheduler, SharedResource
from loco_redis._server import EmbeddedServer
from loco_redis.cli.look import _top_reader
from loco_redis.cli.look._top_report import Look, look, report_of
from loco_redis.cli.look.top import Wishes
from loco_redis.observe import Observer
from tests.cli.calls import invoke
from tests.cli.commands import loco_redis
from tests.cli.fleets import Fleet
from tests.cli.terminals import COMMAND, Terminal
from tests.servers import BINARIES, DEFAULT, Server
from tests.waiting import wait_until


@pytest.fixture
def terminal(fleet_at_work: Fleet) -> Iterator[Terminal]:
    """`top` of the fleet at work, drawn once."""
    with Terminal("top", "-i", "0.2", "-u", fleet_at_work.url) as terminal:
        terminal.wait_for(r"^llm_api ")
        terminal.wait_for(r"[\d.]+ grants/s")
        yield terminal


def test_a_pipe_gets_one_plain_picture(fleet_at_work: Fleet) -> None:
    """Numbers, agents by score, slots; no colour and no cursor movement."""
    status, out, err = loco_redis("top", "-u", fleet_at_work.url).run()
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0].startswith("llm_api  unix://")
    assert "slots ████████████████████ 2/2   waiting 4   oldest" in lines[1]
    assert "0.0 grants/s" in out
    agents = [line.split()[0] for line in lines if line.startswith(("batch", "report", "webhook"))]
    assert agents == ["report", "batch", "webhook"]
    assert f":{os.getpid()} " in out


def test_a_locale_without_utf_8_will_do(
    fleet_at_work: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it cannot say is a question mark, not a traceback."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    status, out, err = loco_redis("top", "-u", fleet_at_work.url).run()
    assert (status, err) == (0, "")
    assert "slots ???????????????????? 2/2" in out


def test_json_has_the_same(fleet_at_work: Fleet) -> None:
    """Rows are cut by --limit, totals are not."""
    url = fleet_at_work.url
    result = invoke("top", "--no-stream", "--json", "--sort-by", "depth", "--limit", "1", "-u", url)
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["schema"], found["resource"], found["complete"]) == (1, "llm_api", True)
    assert (found["capacity"], found["held"], found["waiting"]) == (2, 2, 4)
    assert (found["competing"], found["agents_total"]) == (2, 3)
    assert [row["agent_id"] for row in found["agents"]] == ["report"]
    assert found["agents"][0]["queue_depth_weighted"] == 5.0
    assert [row["agent_id"] for row in found["holders"]] == ["webhook"]
    assert found["oldest_waiter"] == "batch"
    assert found["oldest_wait"] > 0
    assert found["grants_per_second"] == 0.0


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("score", "report"),
        ("depth", "report"),
        ("age", "report"),
        ("waiting", "batch"),
        ("holding", "batch"),
        ("name", "batch"),
    ],
)
def test_agents_are_sorted(fleet_at_work: Fleet, sort: str, first: str) -> None:
    """`batch` holds one and has three waiting, `report` has the deepest queue. Ties are in the
    order in which they would be granted."""
    result = invoke("top", "--no-stream", "--json", "--sort-by", sort, "-u", fleet_at_work.url)
    assert json.loads(result.output)["agents"][0]["agent_id"] == first


def test_json_needs_no_stream(fleet_at_work: Fleet) -> None:
    result = invoke("top", "--json", "-u", fleet_at_work.url)
    assert result.exit_code == 2
    assert "add --no-stream" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("interval", ["0.1", "61", "nan"])
def test_the_interval_has_bounds(interval: str) -> None:
    result = invoke("top", "-i", interval)
    assert result.exit_code == 2
    assert "is not in the range 0.2 to 60" in result.output


def test_keys_change_what_is_wished_for() -> None:
    """The sorts come round again; the interval stays within its bounds."""
    wishes = Wishes("score", 1.5)
    for key in "sr":
        wishes.press(key)
    assert (wishes.sort, wishes.is_reversed) == ("depth", True)
    for key in "sssss":
        wishes.press(key)
    assert (wishes.sort, wishes.is_reversed) == ("score", False)
    wishes.press("+")
    assert wishes.interval == 2.0
    for key in "-" * 20:
        wishes.press(key)
    assert wishes.interval == 0.2
    for key in "+" * 20:
        wishes.press(key)
    assert wishes.interval == 60.0
    before = repr(wishes)
    wishes.press("x")
    assert repr(wishes) == before


def test_it_follows_the_fleet(fleet_at_work: Fleet, terminal: Terminal) -> None:
    """A slot that is freed shows its new holder, and its grant is counted."""
    assert terminal.is_alternate
    assert terminal.shows(r"^ +0 +webhook ")
    fleet_at_work.holder.release_handle(fleet_at_work.handles[0])
    terminal.wait_for(r"^ +0 +(batch|report) ")
    terminal.wait_for(r"waiting 3\b")
    assert not terminal.shows("webhook")


def test_s_sorts_by_the_next_column(terminal: Terminal) -> None:
    """The heading says by which; `r` turns the order."""
    assert _first_agent(terminal) == "report"
    terminal.press("s")
    terminal.wait_for(r"agent +score +Q↓")
    assert _first_agent(terminal) == "report"
    terminal.press("ss")
    terminal.wait_for("waiting↓")
    assert _first_agent(terminal) == "batch"
    terminal.press("r")
    terminal.wait_for("waiting↑")
    assert _first_agent(terminal) == "webhook"


def _first_agent(terminal: Terminal) -> str:
    lines = terminal.lines()
    heading = next(n for n, line in enumerate(lines) if line.startswith("agent"))
    return lines[heading + 1].split()[0]


def test_a_resize_redraws(terminal: Terminal) -> None:
    """At 60 columns and 8 lines it fits; back at 100 everything is there again."""
    terminal.resize(60, 8)
    terminal.wait_for(r"^llm_api .* every 0.2s$")
    wait_until(lambda: all(len(line) <= 60 for line in terminal.lines()))
    terminal.wait_for(r"^\+\d more$")
    terminal.resize(100, 30)
    terminal.wait_for(r"\? for keys$")
    assert not terminal.shows("more$")


def test_keys_of_the_display(terminal: Terminal) -> None:
    """Help comes and goes, the interval changes; arrow keys mean nothing."""
    terminal.press("?")
    terminal.wait_for("q quit")
    terminal.press("h")
    wait_until(lambda: not terminal.shows("q quit"))
    terminal.press("\x1b[A\x1b[B\x1bOP+")
    terminal.wait_for("every 0.5s")
    terminal.press("-")
    terminal.wait_for("every 0.2s")


def test_p_holds_the_display(fleet_at_work: Fleet, terminal: Terminal) -> None:
    """What changes meanwhile is seen when it goes on."""
    terminal.press("p")
    terminal.wait_for("display paused")
    fleet_at_work.holder.release_handle(fleet_at_work.handles[0])
    wait_until(lambda: fleet_at_work.observer.snapshot().waiting == 3)
    terminal.press("?")
    terminal.wait_for("q quit")
    assert terminal.shows("waiting 4")
    assert terminal.shows("webhook")
    terminal.press("p")
    terminal.wait_for("waiting 3")
    assert not terminal.shows("display paused")


def test_q_leaves_the_terminal_clean(terminal: Terminal) -> None:
    """While it runs, keys are not echoed and the cursor is hidden."""
    assert terminal._attributes() != terminal.attributes
    terminal.press("q")
    assert terminal.end() == 0
    terminal.assert_clean()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 143),
        (signal.SIGINT, 130),
        (signal.SIGHUP, 129),
        (signal.SIGQUIT, 131),
    ],
)
def test_a_signal_leaves_the_terminal_clean(terminal: Terminal, number: int, status: int) -> None:
    """The exit status says which one it was."""
    terminal.process.kill(number)
    assert terminal.end() == status
    terminal.assert_clean()
    assert b"Traceback" not in terminal.got


def test_ctrl_c_quits(terminal: Terminal) -> None:
    terminal.press("\x03")
    assert terminal.end() == 130
    terminal.assert_clean()


def test_an_error_of_its_own_leaves_the_terminal_clean(fleet_at_work: Fleet) -> None:
    """The traceback is on the main screen, where it can be read."""
    code = (
        "from loco_redis.cli import main\n"
        "from loco_redis.cli.look import top\n"
        "frames = iter([top.frame])\n"
        "top.frame = lambda *given: next(frames)(*given)\n"
        "main()\n"
    )
    command = (sys.executable, "-c", code)
    with Terminal("top", "-i", "0.2", "-u", fleet_at_work.url, command=command) as terminal:
        assert terminal.end() == 1
        terminal.assert_clean()
        left = terminal.got.rindex(b"\x1b[?1049l")
        assert b"StopIteration" in terminal.got[left:]


def test_ctrl_z_suspends_it(fleet_at_work: Fleet) -> None:
    """A shell gets its terminal back as it was, and `fg` brings the picture back."""
    shell = ("/bin/bash", "--norc", "--noprofile", "-i")
    with Terminal(command=shell, PS1="READY$ ") as terminal:
        terminal.wait_for(r"READY\$")
        terminal.press(f"{' '.join(COMMAND)} top -u {fleet_at_work.url}\r")
        terminal.wait_for("^llm_api ")
        terminal.press("\x1a")
        terminal.wait_for("Stopped")
        assert not terminal.is_alternate
        terminal.press("fg\r")
        terminal.wait_for("^llm_api ")
        assert terminal.is_alternate
        terminal.press("q")
        wait_until(lambda: not terminal.is_alternate)
        terminal.press("echo status $?\r")
        terminal.wait_for("^status 0")


def test_a_dumb_terminal_gets_one_picture(fleet_at_work: Fleet) -> None:
    with Terminal("top", "-u", fleet_at_work.url, TERM="dumb") as terminal:
        assert terminal.end() == 0
        assert terminal.shows("^llm_api ")
        assert b"\x1b" not in terminal.got


def test_the_terminal_knows_its_size_best(fleet_at_work: Fleet) -> None:
    """COLUMNS and LINES, which no resize changes, are not asked."""
    size = {"COLUMNS": "300", "LINES": "5"}
    with Terminal("top", "-u", fleet_at_work.url, columns=60, rows=20, **size) as terminal:
        terminal.wait_for("^llm_api .* every 1s$")
        terminal.wait_for("^ +1 +batch ")
        terminal.press("q")
        assert terminal.end() == 0


def test_without_a_keyboard_it_runs_until_a_signal(fleet_at_work: Fleet) -> None:
    """Such as `top < /dev/null`; the end of its input is not the end of it."""
    shell = ("/bin/sh", "-c", 'exec "$0" "$@" < /dev/null', *COMMAND)
    with Terminal("top", "-i", "0.2", "-u", fleet_at_work.url, command=shell) as terminal:
        terminal.wait_for("grants/s")
        fleet_at_work.holder.release_handle(fleet_at_work.handles[0])
        terminal.wait_for("waiting 3")
        terminal.press("\x03")
        assert terminal.end() == 130
        terminal.assert_clean()


def test_no_color_is_respected(fleet_at_work: Fleet) -> None:
    """Columns and arrows say all that colours say."""
    with Terminal("top", "-u", fleet_at_work.url, NO_COLOR="1") as terminal:
        terminal.wait_for("granting")
        assert terminal.colour_of("granting") == "default"
        terminal.press("q")
        assert terminal.end() == 0


def test_an_outage_is_shown_and_survived() -> None:
    """The last picture stays, with its age in red, while Redis is away; it goes on with whatever
    is there when Redis is back."""
    resource = SharedResource("llm", capacity=3)
    with EmbeddedServer.start(BINARIES[DEFAULT], tcp=True) as server:
        url = server.url
        with LOCOScheduler(resource=resource, redis=url) as scheduler:
            with scheduler.acquire("chat"):
                terminal = Terminal("top", "-i", "0.2", "-u", url)
                terminal.wait_for(r"^ +0 +chat ")
    with terminal:
        terminal.wait_for(r"as it was [\d.]+s ago: no Redis at redis://127")
        assert terminal.colour_of("as it was") == "red"
        assert terminal.shows(r"^llm ")
        port = int(url.rpartition(":")[2].partition("/")[0])
        with EmbeddedServer.start(BINARIES[DEFAULT], port=port):
            terminal.wait_for("no resource|nothing is stored")
            with LOCOScheduler(resource=SharedResource("llm", capacity=7), redis=url):
                terminal.wait_for(r"0/7")
                wait_until(lambda: not terminal.shows("as it was"))
            terminal.press("q")
            assert terminal.end() == 0
            terminal.assert_clean()


def test_a_redis_that_hangs_keeps_nobody_from_quitting(server_of_its_own: EmbeddedServer) -> None:
    """The age of the picture is said before the connection is given up."""
    with LOCOScheduler(resource=SharedResource("llm", capacity=3), redis=server_of_its_own.url):
        with Terminal("top", "-i", "0.2", "-u", server_of_its_own.url) as terminal:
            terminal.wait_for("^llm ")
            os.kill(server_of_its_own.pid, signal.SIGSTOP)
            try:
                terminal.wait_for("ago: no answer yet")
                terminal.press("q")
                assert terminal.end(timeout=4.0) == 0
            finally:
                os.kill(server_of_its_own.pid, signal.SIGCONT)
            terminal.assert_clean()


def test_slow_looks_become_brief(fleet_at_work: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a complete one takes more than half of the interval; it is tried again when what it
    took, less 5 % for each brief one, is less than that."""
    asked: list[bool] = []

    def slow(observer: Observer, brief: bool = False) -> Look:
        asked.append(brief)
        return replace(look(observer, brief), took=0.06)

    monkeypatch.setattr(_top_reader, "look", slow)
    first = replace(look(fleet_at_work.observer), took=0.06)
    with _top_reader.Reader(fleet_at_work.observer, first, 0.1) as reader:
        wait_until(lambda: len(asked) >= 10)
        assert reader.news.seen.now.held == 2
    assert asked[:10] == [True, True, True, True, False] * 2


def test_an_error_while_looking_is_told(
    fleet_at_work: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of this program ends the looking; those of Redis do not."""
    first, told = look(fleet_at_work.observer), threading.Event()

    def broken(observer: Observer, brief: bool) -> Look:
        raise ZeroDivisionError

    monkeypatch.setattr(_top_reader, "look", broken)
    with _top_reader.Reader(fleet_at_work.observer, first, 0.05) as reader:
        reader.on_news = told.set
        wait_until(lambda: reader.failure is not None)
    assert isinstance(reader.failure, ZeroDivisionError)
    assert told.is_set()


def test_any_server_will_do(any_server: Server) -> None:
    """Complete and brief looks see the same fleet."""
    with Fleet(any_server.url, "llm_api", capacity=1) as fleet:
        fleet.hold("webhook")
        fleet.wait("batch", weight=3.0)
        complete = report_of(look(fleet.observer), None, "score", False, 10)
        brief = report_of(look(fleet.observer, brief=True), None, "score", False, 10)
    assert [row.agent_id for row in complete.agents] == ["batch", "webhook"]
    assert complete.agents == brief.agents
    assert complete.oldest_waiter == brief.oldest_waiter == "batch"
    assert [row.token for row in complete.holders] == [row.token for row in brief.holders]
    assert (complete.complete, brief.complete) == (True, False)


@pytest.fixture
def server_of_its_own() -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start(BINARIES[DEFAULT]) as server:
        yield server
