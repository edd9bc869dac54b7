"""Several runs as if they were one: medians of figures, sums of what should not happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import TypeVar

from loco_redis.cli.bench._figures import (
    ClassFigures,
    HostFigures,
    RunFigures,
    ServerFigures,
    Spans,
)

T = TypeVar("T")


def middle_run(runs: Sequence[RunFigures]) -> RunFigures:
    """The run whose grants per second are the median; of an even number the lower one."""
    ordered = sorted(runs, key=lambda run: run.grants_per_second)
    return ordered[(len(ordered) - 1) // 2]


def classes(runs: Sequence[RunFigures]) -> tuple[ClassFigures, ...]:
    """Grants and percentiles are medians, `unserved` is of all runs, `longest` the worst."""
    return tuple(
        replace(
            rows[0],
            grants=round(_median(rows, lambda row: row.grants)),
            unserved=sum(row.unserved for row in rows),
            wait=spans([row.wait for row in rows]),
        )
        for rows in _by_name([run.classes for run in runs], lambda row: row.name)
    )


def hosts(runs: Sequence[RunFigures]) -> tuple[HostFigures, ...]:
    """Errors and kills are of all runs, silence, pause and the clock's error the worst, the others
    medians."""
    return tuple(
        replace(
            rows[0],
            grants=round(_median(rows, lambda row: row.grants)),
            offset=_median(rows, lambda row: row.offset),
            offset_error=max(row.offset_error for row in rows),
            ping=_median(rows, lambda row: row.ping),
            cpu=_median(rows, lambda row: row.cpu),
            errors=_added(row.errors for row in rows),
            silence=max(row.silence for row in rows),
            pause=max(row.pause for row in rows),
            killed=sum(row.killed for row in rows),
        )
        for rows in _by_name([run.hosts for run in runs], lambda row: row.name)
    )


def server(runs: Sequence[RunFigures]) -> ServerFigures:
    """Medians."""
    rows = [run.server for run in runs]
    p50 = [row.script_usec_p50 for row in rows if row.script_usec_p50 is not None]
    p99 = [row.script_usec_p99 for row in rows if row.script_usec_p99 is not None]
    return ServerFigures(
        version=rows[0].version,
        cpu=_median(rows, lambda row: row.cpu),
        script_usec=_median(rows, lambda row: row.script_usec),
        script_usec_p50=median(p50) if p50 else None,
        script_usec_p99=median(p99) if p99 else None,
        script_usec_per_grant=_median(rows, lambda row: row.script_usec_per_grant),
        scripts_per_grant=_median(rows, lambda row: row.scripts_per_grant),
        hints_per_grant=_median(rows, lambda row: row.hints_per_grant),
        bytes_in_per_grant=_median(rows, lambda row: row.bytes_in_per_grant),
        bytes_out_per_grant=_median(rows, lambda row: row.bytes_out_per_grant),
    )


def spans(of: Sequence[Spans]) -> Spans:
    """Medians of those that have any; `longest` the worst, `count` of all, no curve."""
    some = [each for each in of if each.count] or list(of)
    return Spans(
        count=sum(each.count for each in of),
        mean=_median(some, lambda each: each.mean),
        p50=_median(some, lambda each: each.p50),
        p95=_median(some, lambda each: each.p95),
        p99=_median(some, lambda each: each.p99),
        p999=_median(some, lambda each: each.p999),
        longest=max(each.longest for each in some),
        curve=(),
    )


def middle(values: Iterable[float]) -> float:
    """The median; of an even number of runs between the two in the middle."""
    return median(values)


def _median(rows: Sequence[T], figure: Callable[[T], float]) -> float:
    return median(figure(row) for row in rows)


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sum((Counter(each) for each in counts), Counter()).most_common())


def _by_name(runs: Iterable[Sequence[T]], name: Callable[[T], str]) -> list[list[T]]:
    """The rows of one name together, in the order in which the names come up."""
    found: dict[str, list[T]] = {}
    for rows in runs:
        for row in rows:
            found.setdefault(name(row), []).append(row)
    return list(found.values())
