"""Judges a run of benchmarks/hosts.sh, in which one host was cut off for a while, by its report.

python -m benchmarks.partition REPORT HOST SECONDS       (exit status 1: something did not hold)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: Seconds in which a host must be back at work after it was let back. A connection attempt that was
#: under way goes on after up to two seconds; then a session has to be opened.
BACK_WITHIN = 6.0


class Finding(NamedTuple):
    """One thing that was looked at."""

    holds: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.holds else 'FAILED'}  {self.text}"


def judged(report: dict[str, Any], name: str, cut: float) -> Iterator[Finding]:
    """Look at the one run of a report; host `name` was cut off for `cut` seconds."""
    plan, (run,) = report["plan"], report["runs"]
    verdict = run["verdict"]
    cut_off = next(host for host in run["hosts"] if host["name"] == name)
    others = [host for host in run["hosts"] if host["name"] != name]
    yield Finding(
        report["ok"] and not verdict["violations"],
        f"{verdict['holds']:,} bodies: no slot held twice, tokens in order"
        if report["ok"]
        else "; ".join(report["failures"]),
    )
    yield Finding(
        max(verdict["peak"], verdict["peak_seen"]) <= plan["capacity"],
        f"at most {verdict['peak']} of {plan['capacity']} slots held by Redis' count, "
        f"{verdict['peak_seen']} by the holders'",
    )
    yield Finding(
        cut - 1 <= cut_off["silence"] <= cut + BACK_WITHIN,
        f"{name} was not heard of for {cut_off['silence']:.1f} s, cut off for {cut:g} s",
    )
    yield Finding(
        verdict["idle_longest"] <= verdict["reclaim_bound"],
        f"its slots were in use again: none idle for longer than {verdict['idle_longest']:.2f} s "
        f"({verdict['reclaimed']} leases taken back, bound {verdict['reclaim_bound']:.2f} s)",
    )
    back = cut_off["pause"] - cut
    yield Finding(
        -0.5 <= back <= BACK_WITHIN,
        f"{name} had slots again {back:.2f} s after it was let back (bound {BACK_WITHIN:g} s)",
    )
    longest = max(host["pause"] for host in others)
    yield Finding(
        longest <= verdict["reclaim_bound"],
        f"the others were never without a grant for longer than {longest:.2f} s",
    )
    yield Finding(not any(host["killed"] for host in run["hosts"]), "no worker was started anew")


def main(arguments: Sequence[str]) -> None:
    path, name, cut = arguments
    findings = list(judged(json.loads(Path(path).read_text()), name, float(cut)))
    for finding in findings:
        print(f"          {finding}")
    sys.exit(not all(finding.holds for finding in findings))


if __name__ == "__main__":
    main(sys.argv[1:])
