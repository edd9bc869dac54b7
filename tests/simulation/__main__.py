"""`python -m tests.simulation --seeds N`: many runs on all cores; `--seed N --trace`: one."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.plan import plan_of
from tests.simulation.runner import run_all
from tests.simulation.shrink import shrink
from tests.simulation.world import Result, run

_REPORT_EVERY = 10.0


def _say(line: object = "") -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _one(seed: int, trace: bool) -> int:
    plan = plan_of(seed)
    _say(plan)
    result = run(plan, _say if trace else None)
    _say(f"{result.steps} steps, trace {result.trace_hash}")
    return _explain(seed, result) if result.failure is not None else 0


def _explain(seed: int, result: Result) -> int:
    assert result.failure is not None
    _say(f"\nseed {seed} failed: {result.failure}")
    _say(f"again: python -m tests.simulation --seed {seed} --trace")
    smallest = shrink(plan_of(seed), result.failure.kind)
    _say(f"the same failure with {len(smallest.events)} of {len(plan_of(seed).events)} events:")
    _say(smallest)
    return 1


def _many(first: int, count: int, jobs: int, most_failures: int) -> int:
    began = told = time.perf_counter()
    steps, runs = 0, 0
    tried: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    failed: list[tuple[int, Result]] = []
    for seed, result in run_all(range(first, first + count), jobs):
        runs += 1
        steps += result.steps
        tried += result.tried
        seen += result.seen
        if result.failure is not None:
            failed.append((seed, result))
            _say(f"seed {seed} failed: {result.failure}")
        if len(failed) >= most_failures:
            break
        if time.perf_counter() - told > _REPORT_EVERY:
            told = time.perf_counter()
            _say(f"{runs} of {count} seeds, {runs / (told - began):.1f} a second")
    seconds = time.perf_counter() - began
    _say(f"{runs} seeds from {first}, {steps} steps of the server, {seconds:.0f} s, "
         f"{runs / seconds:.1f} seeds/s on {jobs} cores; {len(failed)} failed")  # fmt: skip
    for title, counts in (("faults", tried), ("seen", seen)):
        _say(f"{title}: " + ", ".join(f"{n} {kind}" for kind, n in counts.most_common()))
    if failed:
        _explain(*min(failed, key=lambda row: row[0]))
    return min(len(failed), 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--trace", action="store_true", help="with --seed: show every step")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (cores)")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many (5)")
    asked = parser.parse_args()
    if asked.seed is not None:
        return _one(asked.seed, asked.trace)
    return _many(asked.first, asked.seeds, asked.jobs, asked.failures)


if __name__ == "__main__":
    sys.exit(main())
