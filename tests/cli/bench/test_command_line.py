"""The command that repeats a benchmark: `bench run` understands it as the same plan."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis.cli.bench._command_line import DEFAULTS, command_of
from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.bench.bench import run
from tests.cli.bench.reports import DEFAULT_PLAN

_OPTIONS = {option.replace("-", "_") for option in DEFAULTS}


def _understood(line: str) -> dict[str, Any]:
    words = shlex.split(line)
    assert words[:3] == ["loco-redis", "bench", "run"]
    context = run.make_context("run", words[3:], resilient_parsing=False)
    return {name: value for name, value in context.params.items() if name in _OPTIONS}


def _asked(plan: BenchPlan) -> dict[str, Any]:
    asked = {**asdict(plan), "join": plan.hosts if plan.joined else None}
    asked["hosts"] = DEFAULT_PLAN.hosts if plan.joined else plan.hosts
    asked["trace"] = Path(plan.trace) if plan.trace else None
    return {name: value for name, value in asked.items() if name in _OPTIONS}


def _assert_same(plan: BenchPlan) -> None:
    asked, understood = _asked(plan), _understood(command_of(plan))
    assert asked.keys() == understood.keys()
    for name, value in asked.items():
        is_float = isinstance(value, float)
        assert understood[name] == (pytest.approx(value, rel=1e-9) if is_float else value), name


def test_defaults_are_left_out() -> None:
    assert command_of(DEFAULT_PLAN) == "loco-redis bench run"


def test_the_defaults_are_those_of_the_command() -> None:
    """Whoever runs the bare command gets the default plan."""
    assert _understood("loco-redis bench run") == _asked(DEFAULT_PLAN)


def test_everything_that_differs_is_said() -> None:
    """In one line that a shell takes apart again."""
    plan = BenchPlan(
        id="x", version="0.1.0", hosts=4, joined=False, workers=3, tasks=20, capacity=8,
        hold=0.0005, lease=2.5, alpha=0.25, profile="mixed", trace="", load=None,
        warmup=0.0, duration=90.0, runs=3, seed=7,
        kill_every=5.0, netem="delay 10ms 2ms loss 0.1%",
    )  # fmt: skip
    assert command_of(plan) == (
        "loco-redis bench run --hosts 4 --workers 3 --tasks 20 --capacity 8 --hold 0.5ms"
        " --lease 2.5s --alpha 0.25 --profile mixed --load max --warmup 0s --duration 90s --runs 3"
        " --seed 7 --kill-every 5s --netem 'delay 10ms 2ms loss 0.1%'"
    )
    _assert_same(plan)


def test_hosts_that_join_and_a_trace_are_said(tmp_path: Path) -> None:
    """A name with a space is quoted."""
    trace = tmp_path / "my trace.csv"
    trace.touch()
    plan = replace(DEFAULT_PLAN, joined=True, hosts=7, profile="trace", trace=str(trace))
    assert command_of(plan) == (
        f"loco-redis bench run --join 7 --profile trace --trace {shlex.quote(str(trace))}"
    )
    _assert_same(plan)


@given(
    plan=st.builds(
        replace,
        st.just(DEFAULT_PLAN),
        hosts=st.integers(1, 64),
        capacity=st.integers(1, 10**6),
        hold=st.floats(0.0001001, 3599),
        alpha=st.none() | st.floats(0.001, 0.999),
        load=st.none() | st.floats(0.011, 99),
        warmup=st.floats(0.0001, 3599) | st.just(0.0),
        duration=st.floats(1.001, 86399),
        kill_every=st.none() | st.floats(0.501, 86399),
        netem=st.sampled_from(["", "loss 1%", "it's; rm -rf $HOME"]),
    )
)
def test_round_trip(plan: BenchPlan) -> None:
    """Any plan, within the digits that are written."""
    _assert_same(plan)
