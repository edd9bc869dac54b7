"""What a benchmark measured, as frozen values: the schema of `bench run --json`.

Times are seconds if nothing else is said; a share is 0.0 to 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spans:
    """A distribution of spans of time, in seconds, out of an HDR histogram of microseconds.

    Attributes:
        curve: pairs of percentile and span, for a plot; it ends with the longest span at 100.
    """

    count: int
    mean: float
    p50: float
    p95: float
    p99: float
    p999: float
    longest: float
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The agents of one class.

    Attributes:
        wait: from the moment that a request was due until its body ran.
        unserved: requests that were due but had no slot when the run ended; the time that they
            had waited until then is in `wait`.
    """

    name: str
    agents: int
    grants: int
    unserved: int
    wait: Spans


@dataclass(frozen=True, slots=True)
class HostFigures:
    """One host of the run.

    Attributes:
        offset: what its monotonic clock is to be added to give the server's time.
        offset_error: at most so far off, by half of the quickest round trip.
        ping: that round trip.
        cpu: cores that its workers kept busy; those that were killed are counted until then.
        errors: by name of the exception, how often an acquire or a body ended with it.
        silence: the longest time that it was not heard of.
        pause: the longest time in which none of its bodies began.
        killed: workers killed on purpose.
    """

    name: str
    workers: int
    grants: int
    offset: float
    offset_error: float
    ping: float
    cpu: float
    errors: dict[str, int]
    silence: float
    pause: float
    killed: int


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """What the server says of itself (INFO) between the start and the end of the measured time.

    The benchmark's own meeting is in the bytes: about a kilobyte a second for each host.

    Attributes:
        version: such as "Valkey 9.1.2".
        cpu: cores that it kept busy.
        script_usec: microseconds of a script, on average.
        script_usec_p50, script_usec_p99: of `latencystats`; None where the server has none.
        script_usec_per_grant: of all scripts that ran, for one grant.
        scripts_per_grant, hints_per_grant: EVALSHA received, PUBLISH sent by scripts.
        bytes_in_per_grant, bytes_out_per_grant: on its sockets.
    """

    version: str
    cpu: float
    script_usec: float
    script_usec_p50: float | None
    script_usec_p99: float | None
    script_usec_per_grant: float
    scripts_per_grant: float
    hints_per_grant: float
    bytes_in_per_grant: float
    bytes_out_per_grant: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The oracle's, from what the holders saw; nothing is asked of Redis for it but `peak`.

    Attributes:
        holds: bodies that were looked at.
        peak: most slots held at once, as Redis counted.
        peak_seen: the same, as the holders saw.
        reclaims: slots of killed workers that somebody else has held again since.
        reclaim_longest: from the last kill until then; None where nobody was killed in a body.
        reclaim_bound: it must not be longer.
        reclaimed: leases that Redis took back from sessions it did not hear of any more.
        idle_longest: the longest time without a body, of the slots that were used at all.
        violations: a line for each promise that did not hold; empty is good.
    """

    holds: int
    peak: int
    peak_seen: int
    reclaims: int
    reclaim_longest: float | None
    reclaim_bound: float
    reclaimed: int
    idle_longest: float
    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of a run: grants and arrivals in it, the share of slot time that was used."""

    second: int
    grants: int
    arrivals: int
    utilization: float


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run: what happened in the measured time, after the warm-up.

    Attributes:
        arrivals_per_second: what was due, whether it was served or not.
        utilization: share of the slot time in which a body ran.
        jain: Jain's index of the agents' mean waits, 1.0 when all wait equally long.
        handoff: from a body's end to the start of the next body on the same slot, where that
            one was waiting already.
        wait: from the moment that a request was due until its body ran.
        workers_cpu: cores that all workers kept busy.
    """

    run: int
    seconds: float
    grants: int
    grants_per_second: float
    arrivals_per_second: float
    unserved: int
    utilization: float
    jain: float
    handoff: Spans
    wait: Spans
    classes: tuple[ClassFigures, ...]
    hosts: tuple[HostFigures, ...]
    server: ServerFigures
    workers_cpu: float
    verdict: Verdict
    timeline: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over all runs."""

    name: str
    unit: str
    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What was asked for.

    Attributes:
        id: of the run, in the names of its keys.
        version: of loco-redis; all hosts must have the same.
        hosts, workers, tasks: hosts; worker processes of each; callers in each of these.
        joined: the hosts came by themselves, each with `bench worker`.
        capacity, hold: slots, and how long a body takes on average.
        lease: seconds after which a dead worker's slots are free again.
        alpha: None for the default.
        profile: steady, burst, spike, mixed or trace.
        trace: the file of that profile, as it was given; empty for the others.
        load: arrivals, as a share of what the slots can do; None: every caller asks again at once.
        warmup, duration: seconds not measured, then seconds measured.
        runs: how often.
        seed: of arrivals, weights and holds.
        kill_every: seconds between kills of a worker; None for none.
        netem: what was asked of `tc`; empty for nothing.
    """

    id: str
    version: str
    hosts: int
    joined: bool
    workers: int
    tasks: int
    capacity: int
    hold: float
    lease: float
    alpha: float | None
    profile: str
    trace: str
    load: float | None
    warmup: float
    duration: float
    runs: int
    seed: int
    kill_every: float | None
    netem: str


@dataclass(frozen=True, slots=True)
class BenchReport:
    """Printed by `--json`, with a `schema` number.

    Attributes:
        ok: whether the oracle found nothing and every host has reported.
        began: date and time, with the offset from UTC.
        redis: where, without credentials.
        machine, python, redis_py: of the host that ran `bench run`.
        failures: a line for each promise that did not hold and each host that did not report.
    """

    ok: bool
    plan: BenchPlan
    began: str
    redis: str
    machine: str
    python: str
    redis_py: str
    runs: tuple[RunFigures, ...]
    summary: tuple[Summary, ...]
    failures: tuple[str, ...]
