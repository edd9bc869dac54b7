"""Fuzzing by hand: each of `targets.py` in turn.

    python -m tests.security.fuzz --seconds 60 [--target NAME]

Guided by coverage if `atheris` is installed (the extra `fuzz`), else by Hypothesis. `test_fuzz.py`
runs the same targets for a short while.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable

NAMES = ("url", "hint", "reply", "row", "event", "body", "trace")
_START = 60.0  # seconds: instrumenting takes a while, at the least


def _by_atheris(name: str, seconds: float) -> None:
    """Ends the process."""
    import atheris

    with atheris.instrument_imports(include=["loco_redis"]):
        from tests.security.targets import TARGETS
    limits = (f"-max_total_time={max(1, round(seconds))}", "-max_len=400", "-print_final_stats=1")
    atheris.Setup([sys.argv[0], *limits], TARGETS[name])
    atheris.Fuzz()


class _Over(BaseException):
    """The time is up."""


def _by_hypothesis(target: Callable[[bytes], None], seconds: float) -> int:
    """How many examples were tried."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    count, end = 0, time.monotonic() + seconds

    @settings(
        max_examples=10_000_000, deadline=None, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(st.binary(max_size=400))
    def tried(data: bytes) -> None:
        nonlocal count
        if time.monotonic() > end:
            raise _Over
        count += 1
        target(data)

    with contextlib.suppress(_Over):
        tried()
    return count


def _in_a_process(name: str, seconds: float) -> bool:
    """Whether it went well; what it found stays in a file of its folder, which is named."""
    command = [sys.executable, "-m", "tests.security.fuzz", "--target", name]
    run = subprocess.run(
        [*command, "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds + _START,
    )
    told = [line for line in run.stderr.splitlines() if "number_of_executed" in line]
    _say(f"{name}: {' '.join(told)}" if run.returncode == 0 else f"{name}: {run.stderr[-4000:]}")
    return run.returncode == 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--target", choices=NAMES)
    given = parser.parse_args()
    guided = importlib.util.find_spec("atheris") is not None
    if given.target and guided:
        _by_atheris(given.target, given.seconds)
    names = [given.target] if given.target else [*NAMES]
    share = given.seconds / len(names)
    if guided:
        return sum(not _in_a_process(name, share) for name in names)
    from tests.security.targets import TARGETS

    for name in names:
        _say(f"{name}: {_by_hypothesis(TARGETS[name], share)} examples")
    return 0


if __name__ == "__main__":
    sys.exit(main())
