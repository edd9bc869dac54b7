"""Do the formulae of docs/scaling.md hold? A fleet in virtual time against them.

The reference model is the server; what a call takes there is measured on the real one first. A
fleet of 10,000 hosts is more than the model can carry: it is computed by the same formulae.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import quantiles

from benchmarks.figure import Figure, Must
from benchmarks.scale import inside
from benchmarks.scale.fleet import Costs, Fleet, Rates, expected
from benchmarks.scale.virtual import Simulation
from loco_redis._server import EmbeddedServer

_DELAY = 0.00025  # seconds of a way between client and server, as within a data centre
_APART = Must(5.0)  # percent


@dataclass(frozen=True, slots=True)
class Scene:
    """A fleet and for how many seconds of its time it is watched, after a warm-up of so many."""

    fleet: Fleet
    seconds: float
    warm_up: float

    def __str__(self) -> str:
        fleet = self.fleet
        kind = "slots scarce" if fleet.is_scarce else "slots free"
        each = f"{fleet.asks:g} requests/s each of {fleet.hold:g} s"
        return f"{fleet.hosts:,} hosts of {fleet.processes} processes, {each}, {kind}"


SCENES = (
    Scene(Fleet(10, is_scarce=False), 2000, 20),
    Scene(Fleet(10, is_scarce=True), 2000, 60),
    Scene(Fleet(100, is_scarce=False), 120, 10),
    Scene(Fleet(100, is_scarce=True), 120, 20),
    Scene(Fleet(1000, is_scarce=False), 10, 5),
    Scene(Fleet(1000, is_scarce=True), 10, 25),
    Scene(Fleet(100, is_scarce=True, asks=10.0, hold=0.05), 3, 1),  # a server that is nearly full
)


def run(
    process: EmbeddedServer,
    *,
    scenes: tuple[Scene, ...] = SCENES,
    rounds: int = 10,
    largest: int = 10_000,
    seed: int = 7,
) -> list[Figure]:
    """For each fleet the greatest distance from the formulae; then the one on paper."""
    costs = inside.costs(process, rounds)
    rows = [compared(scene, costs, seed) for scene in scenes]
    for is_scarce in (False, True):
        fleet = Fleet(largest, is_scarce)
        rates = expected(fleet, costs, _DELAY)
        rows.append(
            Figure(
                f"on paper, {Scene(fleet, 0, 0)}: share of one core",
                100 * rates.busy,
                "%",
                None,
                _told(rates),
            )
        )
    return rows


def compared(scene: Scene, costs: Costs, seed: int) -> Figure:
    """The simulation of one fleet; the same seed and costs give the same figure."""
    seen = Simulation(scene.fleet, costs, delay=_DELAY, seed=seed).run(scene.seconds, scene.warm_up)
    rates, formula = seen.rates(scene.seconds), expected(scene.fleet, costs, _DELAY)
    apart, where = max(_distances(rates, formula, scene.fleet.is_scarce))
    waits = quantiles(seen.waits, n=100, method="inclusive")
    return Figure(
        f"simulated, {scene}: farthest from the formulae",
        apart,
        "%",
        _APART,
        f"{where}; waited p50 {1000 * waits[49]:.1f} ms, p99 {1000 * waits[98]:.1f} ms; "
        f"{_told(rates)}",
        {"busy": rates.busy, "expected": formula.busy, "hosts": scene.fleet.hosts},
    )


def _distances(seen: Rates, formula: Rates, is_scarce: bool) -> list[tuple[float, str]]:
    """Percent, by name. Where slots are free only chance lets somebody wait and be hinted, and
    nobody is refused."""
    names = ["heartbeats", "grants", "commands", "read", "written", "busy"]
    names += ["hints"] if is_scarce else []
    return [(100 * abs(getattr(seen, name) / getattr(formula, name) - 1), name) for name in names]


def _told(rates: Rates) -> str:
    return (
        f"{rates.grants:,.1f} grants/s, {rates.heartbeats:,.0f} heartbeats/s, {rates.hints:,.1f} "
        f"hints/s, {rates.read / 1e6:.2f} MB/s in, {rates.written / 1e6:.2f} out, server busy "
        f"{rates.busy:.1%}"
    )
