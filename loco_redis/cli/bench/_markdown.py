"""The Markdown report of a benchmark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from loco_redis.cli._console import shown
from loco_redis.cli.bench import _grids as grids
from loco_redis.cli.bench import _over_runs as over_runs
from loco_redis.cli.bench._command_line import command_of
from loco_redis.cli.bench._figures import BenchReport, Spans
from loco_redis.cli.bench._grids import Facts, Grid
from loco_redis.cli.bench._words import counted, ms, number, share

_HOW_TO_READ = (
    "A wait is counted from the moment that a request was due by its plan, not from the call: a"
    " fleet that falls behind makes the waits longer, not the requests fewer.",
    "Requests that had no slot when the run ended are in the percentiles with the time that they"
    " had waited until then, so a curve can be too low at its end, never too high.",
    "On the percentile axis 90, 99 and 99.9 are equally far apart: each of these steps to the right"
    " leaves a tenth of the requests.",
    "The promises are checked on what the holders saw, by the server's clock within each host's"
    " error (see Hosts); Redis is asked only for its own count of slots held at once.",
    "Figures of two machines compare only as ratios of runs with the same command; the spread of"
    " several runs says what of a difference is noise.",
)


def markdown(report: BenchReport, plots: Mapping[str, str]) -> str:
    """The report; `plots` are names of `_plots.draw` and where their files lie."""
    plan = report.plan
    slots, hosts = counted(plan.capacity, "slot"), counted(plan.hosts, "host")
    parts = [
        f"# loco-redis bench: {_text(plan.profile)}, {slots}, {hosts}",
        f"**{grids.answer(report)}: {grids.verdict(report)}**",
        f"{_text(grids.setting(plan))}.",
        f"    {shown(command_of(plan))}",
        *_failures(report),
        "## Environment",
        _facts(grids.environment(report)),
    ]
    if report.runs:
        parts += _measured(report, plots)
    parts += ["## How to read it", *_list(_HOW_TO_READ)]
    return "\n\n".join(parts) + "\n"


def _measured(report: BenchReport, plots: Mapping[str, str]) -> list[str]:
    def image(name: str) -> list[str]:
        if name not in plots:
            return []
        return [f"![{_text(_ALT[name](report))}]({_address(plots[name])})"]

    return [
        *_grid(grids.summary(report), left=2),
        *_grid(grids.waits(report), image("waits")),
        "## Hand-off",
        _handoff(report),
        *image("handoff"),
        "## Over time",
        _over_time(report),
        *image("timeline"),
        "## Server",
        _facts([*grids.server(report), ("fairness", grids.fairness(report))]),
        *_grid(grids.hosts(report), image("hosts")),
        "## Promises",
        *_list(grids.promises(report)),
    ]


def _failures(report: BenchReport) -> list[str]:
    return ["## Failures", *_list(report.failures)] if report.failures else []


def _handoff(report: BenchReport) -> str:
    spans = over_runs.spans([run.handoff for run in report.runs])
    if not spans.count:
        return "Nobody was waiting when a slot became free."
    return (
        f"From a body's end to the next body's start on the same slot, of {spans.count:,}:"
        f" {_percentiles(spans)}."
    )


def _over_time(report: BenchReport) -> str:
    rows = (
        (
            str(run.run),
            f"{run.seconds:.1f}",
            number(run.arrivals_per_second),
            number(run.grants_per_second),
            share(run.utilization),
            f"{run.unserved:,}",
        )
        for run in report.runs
    )
    headings = ("run", "seconds", "arrivals/s", "grants/s", "slots used, %", "left")
    return _table(headings, tuple(rows), left=1)


def _percentiles(of: Spans) -> str:
    return (
        f"p50 {ms(of.p50)}, p95 {ms(of.p95)}, p99 {ms(of.p99)}, p99.9 {ms(of.p999)},"
        f" max {ms(of.longest)} ms"
    )


def _alt_waits(report: BenchReport) -> str:
    rows = over_runs.classes(report.runs)
    waits = "; ".join(f"{row.name}: {_percentiles(row.wait)}" for row in rows)
    return f"Percentile curves of the waits by class. {waits}"


def _alt_handoff(report: BenchReport) -> str:
    spans = over_runs.spans([run.handoff for run in report.runs])
    return f"Percentile curve of the hand-off. {_percentiles(spans)}"


def _alt_timeline(report: BenchReport) -> str:
    run = over_runs.middle_run(report.runs)
    return (
        "Arrivals, grants and slot time used in each second, on average"
        f" {number(run.arrivals_per_second)}/s, {number(run.grants_per_second)}/s and"
        f" {share(run.utilization)} %"
    )


def _alt_hosts(report: BenchReport) -> str:
    rows = over_runs.hosts(report.runs)
    told = "; ".join(f"{row.name}: {row.grants:,}, {number(row.cpu)} cores" for row in rows)
    return f"Bars of the grants and the cores kept busy of each host. {told}"


_ALT = {
    "waits": _alt_waits,
    "handoff": _alt_handoff,
    "timeline": _alt_timeline,
    "hosts": _alt_hosts,
}


def _grid(grid: Grid, images: Sequence[str] = (), left: int = 1) -> list[str]:
    rows = (*grid.rows, *grid.below)
    return [f"## {grid.title}", _table(grid.headings, rows, left), *_list(grid.notes), *images]


def _facts(facts: Facts) -> str:
    return _table(("", ""), tuple(facts), left=2)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    ruler = ["---" if place < left else "---:" for place in range(len(headings))]
    return "\n".join(
        f"| {' | '.join(cells)} |"
        for cells in (headings, ruler, *([_text(cell) for cell in row] for row in rows))
    )


def _list(lines: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {_text(line)}" for line in lines)] if lines else []


def _text(words: str) -> str:
    """Words that others chose, as text: no markup, no table cells, no lines of their own."""
    return re.sub(r"([\\`*\[\]<>|#]|(?<!\w)_|_(?!\w))", r"\\\1", shown(words))


def _address(name: str) -> str:
    return f"<{name}>" if re.search(r"[\s()]", name) else name
