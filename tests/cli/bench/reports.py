"""Reports that nobody measured, with numbers such as a run gives: the same ones each time."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from loco_redis.cli.bench._figures import (
    BenchPlan,
    BenchReport,
    ClassFigures,
    HostFigures,
    Moment,
    RunFigures,
    ServerFigures,
    Spans,
    Summary,
    Verdict,
)

SILENT_HOST = "node-c"
_PERCENTILES = (0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 100)
_CLOCK = 1_763_000_000.0

DEFAULT_PLAN = BenchPlan(
    id="k3v9q2",
    version="0.1.0",
    hosts=2,
    joined=False,
    workers=2,
    tasks=50,
    capacity=16,
    hold=0.02,
    lease=10.0,
    alpha=None,
    profile="steady",
    trace="",
    load=0.8,
    warmup=5.0,
    duration=60.0,
    runs=1,
    seed=1,
    kill_every=None,
    netem="",
)


def spans(typical: float, tail: float, count: int) -> Spans:
    """Roughly log-normal, with the median `typical` and a tail that grows by `tail`."""

    def at(percentile: float) -> float:
        rank = min(percentile, 100 - 50 / count) / 100
        nines = -math.log10(1 - rank) if rank < 1 else 6.0
        return round(typical * (0.25 + 0.75 * (nines / 0.301)) ** tail, 6)

    return Spans(
        count=count,
        mean=at(60),
        p50=at(50),
        p95=at(95),
        p99=at(99),
        p999=at(99.9),
        longest=at(100),
        curve=tuple((float(p), at(p)) for p in _PERCENTILES),
    )


def no_spans() -> Spans:
    return Spans(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ())


def run_figures(run: int, hosts: tuple[str, ...], kills: bool = True) -> RunFigures:
    """A run of 60 s; a higher number is a little slower. `node-c` is silent for 11 s in run 2."""
    chance = random.Random(run)
    slow = 1 + 0.04 * run
    grants = round(38_400 / slow)
    has_cut = run == 2 and SILENT_HOST in hosts
    return RunFigures(
        run=run,
        seconds=60.0,
        grants=grants,
        grants_per_second=grants / 60,
        arrivals_per_second=641.5,
        unserved=7 * run,
        utilization=0.79 / slow,
        jain=0.985 - 0.004 * run,
        handoff=spans(0.00042 * slow, 1.1, grants // 3),
        wait=spans(0.0031 * slow, 1.7, grants + 7 * run),
        classes=(
            ClassFigures("chat", 24, grants // 2, 0, spans(0.0012 * slow, 1.5, grants // 2)),
            ClassFigures("webhook", 8, grants // 4, 0, spans(0.0007 * slow, 1.4, grants // 4)),
            ClassFigures("batch", 168, grants // 4, 7 * run, spans(0.011 * slow, 1.8, grants // 4)),
        ),
        hosts=tuple(
            HostFigures(
                name=name,
                workers=2,
                grants=round(grants / len(hosts) * (1.1 - 0.05 * place)),
                offset=_CLOCK + 0.00002 * place,
                offset_error=0.00006 + 0.00001 * run,
                ping=0.00012 + 0.00002 * place,
                cpu=0.31 - 0.02 * place,
                errors={"BackendUnavailableError": 3} if has_cut and name == SILENT_HOST else {},
                silence=11.3 if has_cut and name == SILENT_HOST else 0.52,
                pause=11.8 if has_cut and name == SILENT_HOST else 0.31,
                killed=3 if kills and place == 0 else 0,
            )
            for place, name in enumerate(hosts)
        ),
        server=ServerFigures(
            version="Valkey 9.1.2",
            cpu=0.083 * slow,
            script_usec=36.4 * slow,
            script_usec_p50=33.1 * slow,
            script_usec_p99=81.9 * slow,
            script_usec_per_grant=84.7 * slow,
            scripts_per_grant=2.02,
            hints_per_grant=0.71,
            bytes_in_per_grant=512.0,
            bytes_out_per_grant=388.4,
        ),
        workers_cpu=1.21 * slow,
        verdict=Verdict(
            holds=grants,
            peak=16,
            peak_seen=16,
            reclaims=4 if kills else 0,
            reclaim_longest=11.2 + 0.1 * run if kills else None,
            reclaim_bound=14.5,
            reclaimed=5 if kills else 0,
            idle_longest=11.4 if kills else 0.08,
            violations=(),
        ),
        timeline=tuple(_moment(second, chance, has_cut) for second in range(60)),
    )


def _moment(second: int, chance: random.Random, has_cut: bool) -> Moment:
    arrivals = round(chance.gauss(640, 25))
    served = 0.72 if has_cut and 20 <= second < 31 else 1.0
    grants = round(min(arrivals * served + chance.gauss(0, 8), 800))
    return Moment(second, grants, arrivals, min(grants * 0.02 / 16, 1.0))


def good_report(
    runs: int = 3, hosts: tuple[str, ...] = ("node-a", "node-b", SILENT_HOST), **asked: object
) -> BenchReport:
    """Every promise held, though workers were killed and a host was cut off."""
    plan = {"hosts": len(hosts), "runs": runs, "kill_every": 15.0, **asked}
    made = tuple(run_figures(run, hosts) for run in range(1, runs + 1))
    return BenchReport(
        ok=True,
        plan=replace(DEFAULT_PLAN, **plan),  # type: ignore[arg-type]  # of the plan's fields
        began="2026-11-21T16:00:00+00:00",
        redis="redis://10.77.0.1:6379/0",
        machine="2 x Intel(R) Xeon(R) Processor, Linux x86_64",
        python="3.11.7",
        redis_py="8.1.0",
        runs=made,
        summary=(
            _summary("grants", "1/s", [run.grants_per_second for run in made]),
            _summary("utilisation", "share", [run.utilization for run in made]),
            _summary("wait p99", "s", [run.wait.p99 for run in made]),
            _summary("hand-off p50", "s", [run.handoff.p50 for run in made]),
            _summary("script time", "us/grant", [r.server.script_usec_per_grant for r in made]),
            _summary("fairness", "Jain", [run.jain for run in made]),
        ),
        failures=(),
    )


def bad_report() -> BenchReport:
    """A slot was held twice in the second run, and a host did not report."""
    good = good_report()
    overlap = "slot 3: token 4711 began 1.2 ms before token 4710 ended"
    second = good.runs[1]
    wrong = replace(second, verdict=replace(second.verdict, violations=(overlap,), peak_seen=17))
    return replace(
        good,
        ok=False,
        runs=(good.runs[0], wrong, good.runs[2]),
        failures=(f"run 2: {overlap}", "run 3: host node-b did not report"),
    )


def empty_report() -> BenchReport:
    """Nobody came."""
    good = good_report()
    return replace(good, ok=False, runs=(), summary=(), failures=("2 of 3 hosts did not come",))


def _summary(name: str, unit: str, values: list[float]) -> Summary:
    ordered = sorted(values)
    return Summary(name, unit, ordered[0], ordered[len(ordered) // 2], ordered[-1])
