"""What a report tells, as lines and tables of plain text: the terminal and Markdown show these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loco_redis.cli._console import seconds
from loco_redis.cli.bench import _over_runs as over_runs
from loco_redis.cli.bench._figures import BenchPlan, BenchReport, HostFigures, Spans
from loco_redis.cli.bench._words import NOTHING, counted, measured, ms, number, share, span

Facts = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        rows: the first cell of each is its name, the others are numbers.
        below: rows of the same columns that are set apart.
        notes: how to read it, a sentence each.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def answer(report: BenchReport) -> str:
    """What was measured, in one line, without the verdict."""
    if not report.runs:
        return "nothing was measured"
    grants = over_runs.middle(run.grants_per_second for run in report.runs)
    utilization = over_runs.middle(run.utilization for run in report.runs)
    of = f" (median of {len(report.runs)} runs)" if len(report.runs) > 1 else ""
    used = f"{share(utilization)} % of {counted(report.plan.capacity, 'slot')} used"
    return f"{number(grants)} grants/s{of}, {used}"


def verdict(report: BenchReport) -> str:
    """The end of the answer."""
    return "every promise held" if report.ok else "FAILED"


def setting(plan: BenchPlan) -> str:
    """What was asked for, in one sentence."""
    profile = f"{plan.profile} of {plan.trace}" if plan.trace else plan.profile
    who = "joined host" if plan.joined else "host"
    alpha = "" if plan.alpha is None else f", alpha {plan.alpha:g}"
    load = "every caller asks again at once" if plan.load is None else f"load {plan.load:g}"
    text = (
        f"{profile}, {load}: {counted(plan.hosts, who)} x {counted(plan.workers, 'worker')}"
        f" x {counted(plan.tasks, 'task')} on {counted(plan.capacity, 'slot')} of {span(plan.hold)}"
        f"{alpha}, lease {span(plan.lease)}; {span(plan.duration)} after {span(plan.warmup)} of"
        f" warm-up, {counted(plan.runs, 'run')}, seed {plan.seed}"
    )
    if plan.kill_every is not None:
        text += f"; a worker killed every {span(plan.kill_every)}"
    return f"{text}; netem {plan.netem}" if plan.netem else text


def summary(report: BenchReport) -> Grid:
    has_spread = len(report.runs) > 1
    rows = []
    for row in report.summary:
        values = (row.least, row.median, row.most) if has_spread else (row.median,)
        cells = [measured(value, row.unit) for value in values]
        rows.append((row.name, cells[0][1], *(text for text, _ in cells)))
    figures = ("min", "median", "max") if has_spread else ("value",)
    title = f"Summary of {len(report.runs)} runs" if has_spread else "Summary"
    return Grid(title, ("figure", "unit", *figures), tuple(rows))


def waits(report: BenchReport) -> Grid:
    """By class, then of all, then the hand-off."""
    runs = report.runs
    rows = [
        (
            row.name,
            f"{row.agents:,}",
            f"{row.grants:,}",
            f"{row.unserved:,}",
            *_percentiles(row.wait),
        )
        for row in over_runs.classes(runs)
    ]
    agents = sum(row.agents for row in runs[0].classes)
    grants = round(over_runs.middle(sum(row.grants for row in run.classes) for run in runs))
    unserved = sum(run.unserved for run in runs)
    every = over_runs.spans([run.wait for run in runs])
    passed = over_runs.spans([run.handoff for run in runs])
    notes = [
        "left: due, but without a slot when the run ended; how long is in the percentiles",
        "hand-off: from a body's end to the next body's start on its slot",
    ]
    if len(runs) > 1:
        notes.append("medians of the runs; left: of all runs; max: of the worst")
    return Grid(
        "Waits in ms",
        ("class", "agents", "grants", "left", "p50", "p95", "p99", "p99.9", "max"),
        tuple(rows),
        (
            ("all", f"{agents:,}", f"{grants:,}", f"{unserved:,}", *_percentiles(every)),
            ("hand-off", NOTHING, NOTHING, NOTHING, *_percentiles(passed)),
        ),
        tuple(notes),
    )


def _percentiles(of: Spans) -> tuple[str, ...]:
    if not of.count:
        return (NOTHING,) * 5
    return tuple(ms(value) for value in (of.p50, of.p95, of.p99, of.p999, of.longest))


def server(report: BenchReport) -> Facts:
    row = over_runs.server(report.runs)
    script = f"{number(row.script_usec)} us on average"
    if row.script_usec_p50 is not None and row.script_usec_p99 is not None:
        script += f", p50 {number(row.script_usec_p50)}, p99 {number(row.script_usec_p99)}"
    workers = over_runs.middle(run.workers_cpu for run in report.runs)
    return [
        ("server", f"{row.version}, {number(row.cpu)} cores busy"),
        ("workers", f"{number(workers)} cores busy"),
        ("a script", script),
        ("a grant", f"{number(row.script_usec_per_grant)} us of scripts"),
        (
            "messages",
            f"{number(row.scripts_per_grant)} scripts, {number(row.hints_per_grant)} hints a grant",
        ),
        (
            "bytes",
            f"{number(row.bytes_in_per_grant)} in, {number(row.bytes_out_per_grant)} out a grant",
        ),
    ]


def fairness(report: BenchReport) -> str:
    jain = over_runs.middle(run.jain for run in report.runs)
    return f"{jain:.3f} (Jain's index of the agents' mean waits, 1 = equal)"


def hosts(report: BenchReport) -> Grid:
    """One row a host; errors by name and kills are notes."""
    rows = over_runs.hosts(report.runs)
    first = rows[0].offset if rows else 0.0
    notes = [
        "cpu: cores busy; clock: ms against the first host's; ping: ms; silent: s, most",
        *_pauses(rows),
        *_errors(rows),
        *(f"{counted(row.killed, 'worker')} of {row.name} killed" for row in rows if row.killed),
    ]
    if len(report.runs) > 1:
        notes.insert(1, "medians of the runs; errors, kills: of all runs; silent: in the worst")
    return Grid(
        "Hosts",
        ("host", "procs", "grants", "cpu", "clock", "ping", "errors", "silent"),
        tuple(_host(row, first) for row in rows),
        notes=tuple(notes),
    )


def _host(row: HostFigures, first: float) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.workers:,}",
        f"{row.grants:,}",
        number(row.cpu),
        f"{_clock(row.offset - first)} ±{row.offset_error * 1000:.2f}",
        ms(row.ping),
        f"{sum(row.errors.values()):,}",
        number(row.silence),
    )


def _clock(difference: float) -> str:
    """Monotonic clocks of different machines began when these did, which may be days apart."""
    if abs(difference) < 1:
        return f"{difference * 1000:+.2f}"
    return ("-" if difference < 0 else "+") + seconds(abs(difference))


def _pauses(rows: Sequence[HostFigures]) -> list[str]:
    if not rows:
        return []
    row = max(rows, key=lambda row: row.pause)
    return [f"longest without a grant: {row.name}, {row.pause:.2f} s"]


def _errors(rows: Sequence[HostFigures]) -> list[str]:
    return [
        f"errors of {row.name}: " + ", ".join(f"{n:,} x {name}" for name, n in row.errors.items())
        for row in rows
        if row.errors
    ]


def promises(report: BenchReport) -> list[str]:
    """What the oracle looked at, in words; what it found wrong is in `failures`."""
    verdicts = [run.verdict for run in report.runs]
    peak, seen = max(v.peak for v in verdicts), max(v.peak_seen for v in verdicts)
    wrong = sum(len(v.violations) for v in verdicts)
    found = counted(wrong, "violation") if wrong else "no slot held twice, tokens in order"
    told = [
        f"{counted(sum(v.holds for v in verdicts), 'hold')} looked at: {found}",
        f"most slots held at once, of {report.plan.capacity:,}: {peak:,} by Redis' count,"
        f" {seen:,} by the holders'",
        f"{counted(sum(v.reclaimed for v in verdicts), 'lease')} taken back by Redis;"
        f" no slot was idle for longer than {max(v.idle_longest for v in verdicts):.2f} s",
    ]
    killed = sum(row.killed for run in report.runs for row in run.hosts)
    if killed or report.plan.kill_every is not None:
        told.append(f"{counted(killed, 'worker')} killed: {_reclaims(report)}")
    return told


def _reclaims(report: BenchReport) -> str:
    verdicts = [run.verdict for run in report.runs]
    spans = [v.reclaim_longest for v in verdicts if v.reclaim_longest is not None]
    if not spans:
        return "none of them held a slot that somebody needed again"
    slots = counted(sum(v.reclaims for v in verdicts), "slot")
    bound = max(v.reclaim_bound for v in verdicts)
    return f"{slots} held again, at most {max(spans):.2f} s later (bound {bound:.2f} s)"


def environment(report: BenchReport) -> Facts:
    versions = {run.server.version: None for run in report.runs}
    found = [
        ("at", report.began),
        ("loco-redis", report.plan.version),
        ("server", ", ".join(versions) or NOTHING),
        ("Redis", report.redis),
        ("machine", report.machine),
        ("Python, redis-py", f"{report.python}, {report.redis_py}"),
        ("run", report.plan.id),
    ]
    return [(name, value) for name, value in found if value]
