"""The report of a run: figures, and each violation with the faults of the seconds before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from tests.soak.evidence import Evidence
from tests.soak.oracle import percentile
from tests.soak.verdict import Verdict

_BEFORE = 5.0
_SHOWN = 20


@dataclass
class Report:
    """`figures` are by name and printable; `ok` is whether nothing was violated."""

    title: str
    figures: dict[str, Any]
    violations: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.violations

    def table(self) -> Table:
        table = Table(title=self.title, show_header=False, title_justify="left")
        table.add_column("figure", no_wrap=True)
        table.add_column("value")
        for name, value in self.figures.items():
            table.add_row(name, _shown(value))
        table.add_row("violations", str(len(self.violations)))
        return table

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, **vars(self)}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(part)}" for key, part in sorted(value.items())) or "none"
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value}"


def report(evidence: Evidence, verdict: Verdict) -> Report:
    title = (
        f"soak: {evidence.seconds / 60:.1f} min, {evidence.processes} processes of "
        f"{evidence.callers} callers, capacity {evidence.capacity}, lease {evidence.lease} s, "
        f"seed {evidence.seed}, {evidence.server}"
    )
    return Report(title, _figures(evidence, verdict), list(_violations(evidence, verdict)))


def _figures(evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    oracle, reclaims = evidence.oracle, verdict.reclaims
    recoveries = sorted(verdict.recoveries)
    counts = evidence.record.counts()
    return {
        "faults": sum(counts.values()),
        "faults by kind": counts,
        "grants": evidence.checker.get("granted", 0),
        "bodies": oracle["bodies"],
        "outcomes (of workers never killed)": evidence.outcomes,
        "durable tasks": dict(verdict.tasks),
        "dumps checked": evidence.checker.get("dumps", 0),
        "scripts, server's time (us)": evidence.scripts,
        "release to grant (ms)": {k: 1e3 * v for k, v in oracle["handoffs"].items()},
        "longest reclaim (s)": max(reclaims, default=0.0),
        "its bound (s)": evidence.reclaim_bound,
        "reclaims": len(reclaims),
        "expiries by cause": dict(verdict.expiries),
        "false expiries": verdict.false_expiries,
        "duplicate grants": len(oracle["violations"]) + verdict.unexplained_overlaps,
        "lost grants": verdict.lost_grants,
        "left at rest (leaks, orphans)": len(evidence.left),
        "fenced stale writes": oracle["fenced"],
        "stale writes accepted": oracle["stale_accepted"],
        "overlap by fault (s)": verdict.overlaps,
        "recovery after restarts (s)": {
            "p50": percentile(recoveries, 50),
            "max": max(recoveries, default=0.0),
        },
        "memory (MB)": _memory(evidence),
    }


def _memory(evidence: Evidence) -> dict[str, float]:
    found = {}
    for when, (used, resident, workers) in zip(("first", "last"), evidence.memory, strict=False):
        found[f"server used, {when}"] = used / 1e6
        found[f"server, {when}"] = resident / 1e6
        found[f"a worker, {when}"] = percentile(sorted(workers), 50) / 1e6
    return found


def _violations(evidence: Evidence, verdict: Verdict) -> Iterator[str]:
    """What, when, and what was on."""
    record = evidence.record
    for number, (at, text) in enumerate(verdict.violations):
        if number == _SHOWN:
            yield f"and {len(verdict.violations) - _SHOWN} more"
            return
        lines = [f"at {at - record.epoch:.2f} s ({at:.2f} by the clock): {text}"]
        for span in record.within(at - _BEFORE, at):
            ago, lasted = at - span.begin, span.end - span.begin
            whom = "" if span.worker is None else f" of worker {span.worker}"
            lines.append(f"    {ago:.2f} s before: {span.kind}{whom} for {lasted:.2f} s")
        yield "\n".join(lines)
