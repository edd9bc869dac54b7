"""The questions about size run, at toy size; simulated fleets agree with the formulae."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import redis

from benchmarks import server
from benchmarks.scale import fleet, nodes, simulation
from benchmarks.scale.__main__ import QUESTIONS
from benchmarks.scale.fleet import Cost, Costs, Fleet, Sizes, expected, memory
from benchmarks.scale.load import Load, run_for
from benchmarks.scale.simulation import Scene, compared
from benchmarks.scale.virtual import Simulation
from benchmarks.scale.wire import Wires, encoded
from loco_redis._server import EmbeddedServer

COSTS = Costs(
    acquire_waits=Cost(50, 900, 50),
    acquire_free=Cost(40, 900, 100),
    release_grants=Cost(130, 950, 160),
    release_free=Cost(30, 900, 50),
    heartbeat=Cost(25, 850, 80),
)
SIZES = Sizes(request=500, session=200, connection=17_000, task=400)
SMALL = Scene(Fleet(3, is_scarce=True), 400, 40)

TOY: dict[str, dict[str, Any]] = {
    "limit": {"slices": 2, "seconds": 0.1, "waiting": 30, "slots": 4, "crowd": 9},
    "inside": {"rounds": 2, "waiting": 20, "slots": 4},
    "cuts": {"slices": 2, "seconds": 0.1, "waiting": 80},
    "large": {"agents": 300, "tasks": 3000, "sessions": 300, "slices": 2, "turns": 3},
    "reclaim": {"sessions": 30, "waiting": 2, "lease": 1.2, "requests": 40, "rounds": 1},
    "cluster": {"count": 2, "resources": 2, "slices": 2, "seconds": 0.1, "waiting": 20},
    "simulation": {"scenes": (SMALL,), "rounds": 1},
}


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[EmbeddedServer]:
    with server.running() as process:
        yield process


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_gives_positive_figures(question: str, tcp_server: EmbeddedServer) -> None:
    """Each question answers at toy size with rows that have a value, a unit and a detail."""
    figures = import_module(f"benchmarks.scale.{question}").run(tcp_server, **TOY[question])
    assert figures or question == "cuts"  # which needs the history of the repository
    for figure in figures:
        assert figure.value > 0
        assert figure.question
        assert figure.unit
        assert figure.detail


def test_the_measured_figures_have_what_the_page_needs(tcp_server: EmbeddedServer) -> None:
    """The rows of `inside` and `large` name every cost and size in their data."""
    found: dict[str, Any] = {}
    for question in ("inside", "large"):
        for row in import_module(f"benchmarks.scale.{question}").run(tcp_server, **TOY[question]):
            found |= row.data or {}
    assert {*Costs.__slots__, *(f"{name}_bytes" for name in Sizes.__slots__)} <= set(found)


@pytest.mark.parametrize("waiting", [0, 25])
def test_a_load_loses_nothing(tcp_server: EmbeddedServer, waiting: int) -> None:
    """After a slice every slot is held, as many wait as before, and each pair is a release."""
    with server.connected(tcp_server) as client, Wires() as wires:
        load = Load(wires, tcp_server.url, "load", sessions=3, agents=5, waiting=waiting, slots=4)
        before = load.pairs
        run_for(wires, 0.1, [load])
        snapshot = load.snapshot(client)
    assert (snapshot.held, snapshot.waiting, snapshot.live_sessions) == (4, waiting, 3)
    assert snapshot.released == load.pairs - before > 0


def test_an_error_of_the_server_is_raised(tcp_server: EmbeddedServer) -> None:
    """A load does not go on counting replies that are errors."""
    with Wires() as wires:
        wire = wires.open(tcp_server.url, lambda lines: None)
        wire.put([encoded("EVALSHA", "0" * 40, 0)])
        with pytest.raises(RuntimeError, match="NOSCRIPT"):
            wires.drive(lambda: False)


def test_resources_are_spread_evenly_over_a_cluster() -> None:
    """Each node owns as many of the names, and serves them."""
    with nodes.running(3) as members:
        places = nodes.spread(members, 6)
        assert [sum(node is place for _, place in places) for node in members] == [2, 2, 2]
        with Wires() as wires:
            for name, node in places:
                load = Load(wires, node.url, name, sessions=1, agents=1, waiting=1, slots=1)
                load.release()
                with redis.Redis.from_url(node.url) as client:
                    assert load.snapshot(client).granted == 2


def test_the_simulation_is_a_function_of_its_seed() -> None:
    """The same seed gives the same figure, another one does not."""
    again = [
        Simulation(SMALL.fleet, COSTS, delay=0.001, seed=seed).run(50, 5) for seed in (1, 1, 2)
    ]
    first, same, other = (seen.waits for seen in again)
    assert first == same != other


@pytest.mark.parametrize(
    "scene",
    [
        Scene(Fleet(10, is_scarce=False), 1000, 20),
        Scene(Fleet(10, is_scarce=True), 1000, 60),
        Scene(Fleet(50, is_scarce=True, asks=10.0, hold=0.05), 4, 1),
    ],
    ids=str,
)
def test_the_simulation_agrees_with_the_formulae(scene: Scene) -> None:
    """Heartbeats, grants, hints, bytes and the server's share, within a few percent."""
    assert compared(scene, COSTS, seed=7).ok


def test_a_fleet_on_paper() -> None:
    """The formulae, by hand for one fleet."""
    free, scarce = Fleet(10, is_scarce=False), Fleet(10, is_scarce=True)
    rates = expected(free, COSTS)
    assert (rates.heartbeats, rates.grants, rates.hints, rates.refused) == (16, 4, 0, 0)
    assert rates.commands == 16 + 2 * 4
    assert rates.read == 16 * 850 + 4 * (900 + 900)
    assert rates.busy == pytest.approx((16 * 25 + 4 * (40 + 30)) / 1e6)
    waited = expected(scarce, COSTS, delay=0.5)
    assert waited.grants == pytest.approx(6 / (2 + 2 * 0.5), rel=0.001)
    assert waited.hints == pytest.approx(waited.grants * 39 / 40)
    assert waited.grants + waited.refused == 4
    assert memory(scarce, SIZES) == 40 * (3 * 17_000 + 200) + (6 + 20) * 500


def test_the_page_shows_the_measured_fleet() -> None:
    """The tables of docs/scaling.md are computed from the last full run."""
    page = fleet.PAGE.read_text("utf-8")
    assert page == fleet.written(page), "run python -m benchmarks.scale.fleet --write"


def test_the_simulated_fleets_grow_tenfold() -> None:
    """What is simulated leads to what is only computed: 10, 100, 1,000 hosts of both kinds."""
    fleets = [scene.fleet for scene in simulation.SCENES]
    for hosts in fleet.HOSTS[:-1]:
        assert {f.is_scarce for f in fleets if f.hosts == hosts} == {True, False}
