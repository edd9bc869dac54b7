"""The command that repeats a benchmark."""

from __future__ import annotations

import shlex

from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.bench._words import span

_MAX_LOAD = "max"

#: What `bench run` does where an option is not given, as it is written in the command line; empty
#: is "not at all".
DEFAULTS = {
    "hosts": "2",
    "join": "",
    "workers": "2",
    "tasks": "50",
    "capacity": "16",
    "hold": "20ms",
    "lease": "10s",
    "alpha": "",
    "profile": "steady",
    "trace": "",
    "load": "0.8",
    "warmup": "5s",
    "duration": "60s",
    "runs": "1",
    "seed": "1",
    "kill-every": "",
    "netem": "",
}


def command_of(plan: BenchPlan) -> str:
    """One line for a shell: `loco-redis bench run` with the options that differ from DEFAULTS."""
    words = ["loco-redis", "bench", "run"]
    for option, value in _options(plan).items():
        if value != DEFAULTS[option]:
            words += [f"--{option}", value]
    return shlex.join(words)


def _options(plan: BenchPlan) -> dict[str, str]:
    return {
        "hosts": DEFAULTS["hosts"] if plan.joined else str(plan.hosts),
        "join": str(plan.hosts) if plan.joined else "",
        "workers": str(plan.workers),
        "tasks": str(plan.tasks),
        "capacity": str(plan.capacity),
        "hold": span(plan.hold),
        "lease": span(plan.lease),
        "alpha": "" if plan.alpha is None else f"{plan.alpha:.12g}",
        "profile": plan.profile,
        "trace": plan.trace,
        "load": _MAX_LOAD if plan.load is None else f"{plan.load:.12g}",
        "warmup": span(plan.warmup),
        "duration": span(plan.duration),
        "runs": str(plan.runs),
        "seed": str(plan.seed),
        "kill-every": "" if plan.kill_every is None else span(plan.kill_every),
        "netem": plan.netem,
    }
