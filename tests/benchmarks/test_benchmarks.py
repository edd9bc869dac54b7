"""The benchmarks run, at toy size, and give figures of a sane shape."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from io import StringIO

import pytest
from rich.console import Console

from benchmarks import server, table
from benchmarks.__main__ import QUESTIONS
from benchmarks.asking import with_figures
from benchmarks.crowd import Arrival, Crowd
from benchmarks.figure import Figure, Must
from benchmarks.scan import Scan
from loco_redis._server import EmbeddedServer

TOY = {
    "choice": {"small": 5, "large": 30, "slices": 2, "turns": 3},
    "scan": {"agents": 30, "slices": 2, "turns": 2},
    "round_trips": {"pairs": 5},
    "throughput": {"rounds": 2, "tasks": 6, "seconds": 0.3},
    "handoff": {"blocks": 2, "times": 4},
    "memory": {"requests": 40, "agents": 4},
    "llm_calls": {"blocks": 2, "calls": 3},
    "governance": {
        "rounds": 2,
        "tasks": 6,
        "grants": 30,
        "capped": 20,
        "slices": 2,
        "turns": 3,
    },
}


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[EmbeddedServer]:
    with server.running() as process:
        yield process


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_gives_positive_figures(question: str, tcp_server: EmbeddedServer) -> None:
    """Each question answers at toy size with rows that have a value, a unit and a detail."""
    if question in ("throughput", "governance"):
        pytest.importorskip("self_limiters", reason="the dev extra is not installed")
    figures = import_module(f"benchmarks.{question}").run(tcp_server, **TOY[question])
    assert figures
    for figure in figures:
        assert figure.value > 0
        assert figure.question
        assert figure.unit
        assert figure.detail


def test_an_uncontended_pair_takes_two_round_trips(tcp_server: EmbeddedServer) -> None:
    """The figure that does not depend on the machine holds here, too."""
    (figure,) = import_module("benchmarks.round_trips").run(tcp_server, pairs=20)
    assert figure.value == 2


def test_a_spread_crowd_comes_one_a_tick(tcp_server: EmbeddedServer) -> None:
    """The tick rises by one for each request that waits, and every agent waits once."""
    with server.connected(tcp_server) as client:
        crowd = Crowd(client, "crowd", 7, Arrival("random", burst=False))
        snapshot = crowd.snapshot()
        crowd.turn()
        later = crowd.snapshot()
    assert (snapshot.tick, later.tick) == (7, 8)
    for seen in (snapshot, later):
        assert [agent.waiting for agent in seen.agents if agent.waiting] == [1] * 7


def test_the_scan_and_the_index_choose_alike(tcp_server: EmbeddedServer) -> None:
    """The peer of `scan.py` grants by the same formula: the oldest first at alpha 0."""
    with server.connected(tcp_server) as client:
        scan = Scan(client, 5)
        scan.alpha = 0.0
        assert [scan.turn() for _ in range(6)] == [b"agent%06d" % n for n in (0, 1, 2, 3, 4, 0)]


def test_a_missed_must_is_shown() -> None:
    """The table says MISSED where a figure does not reach its bound, and nothing without one."""
    figures = [
        Figure("fast enough?", 3.5, "x", Must(3), "7 us / 2 us"),
        Figure("faster?", 2.0, "x", Must(2, at_least=True), "4/s"),
        Figure("how large?", 321.4, "bytes", None, "3 MiB"),
    ]
    environment = table.Environment("Valkey 9", "3.11", "8.1", "2 x CPU")
    shown = StringIO()
    console = Console(width=160, file=shown)
    console.print(table.rendered("make bench", figures, environment))
    rows = [line for line in shown.getvalue().splitlines() if "?" in line]
    assert ["MISSED" in row for row in rows] == [True, False, False]
    assert ["ok" in row for row in rows] == [False, True, False]
    assert "321 bytes" in rows[2]
    assert "| faster? | 2.00 x | >= 2 | ok | 4/s |" in table.markdown(figures, environment)
    assert [row["ok"] for row in table.data(figures, environment)["figures"]] == [False, True, True]


def test_the_page_keeps_what_is_around_its_figures() -> None:
    """Only the text between a section's markers is replaced; a page without them is refused."""
    page = "head\n<!-- core: start -->\n{}\n<!-- core: end -->\n<!-- peers: start -->tail"
    assert with_figures(page.format("old"), "core", "new") == page.format("new")
    with pytest.raises(ValueError, match="markers of peers"):
        with_figures(page, "peers", "new")
