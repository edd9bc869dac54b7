"""`loco-redis bench`: how much does a fleet get through, who waits how long, is it all right?"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from loco_redis._endpoint import FALLBACK_URL_VARIABLE, resolve
from loco_redis._extras import need
from loco_redis._shared_server import URL_VARIABLE
from loco_redis.cli._errors import Broken, Refused
from loco_redis.cli._options import Duration, between, json_option, redis_option
from loco_redis.cli._report import documented, emit
from loco_redis.cli.bench import _netem
from loco_redis.cli.bench._arrivals import PROFILES
from loco_redis.cli.bench._figures import BenchPlan, BenchReport
from loco_redis.cli.bench._host import Host, RunGoneError
from loco_redis.cli.bench._progress import progress_for
from loco_redis.cli.bench._running import Terms
from loco_redis.cli.bench._running import run as carried_out
from loco_redis.cli.bench._view import render
from loco_redis.cli.bench._write import write
from loco_redis.cli.play._running import until_signalled
from loco_redis.cli.play._workers import WorkerFailedError
from loco_redis.config import Settings


class _Load(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """A share of what the slots can do, such as 0.8, or `max`: everybody asks again at once."""

    name = "load"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        if value in (None, "max"):
            return None
        with contextlib.suppress(ValueError):
            if 0.01 <= (load := float(value)) <= 100:
                return load
        return self.fail(f"{value!r} is neither `max` nor a number from 0.01 to 100", param, ctx)


def _within(least: float, most: float) -> Callable[..., float | None]:
    """`between`, for an option that may be left out."""
    check = between(least, most)
    return lambda ctx, param, value: None if value is None else check(ctx, param, value)


def _checked_id(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", value):
        raise click.BadParameter(f"{value!r} is not 1 to 40 letters, digits, - or _")
    return value


@click.group()
def command() -> None:
    """A load generator for a fleet: how much, how fast, how fair, and is it right?

    `run` makes the load on this machine, or conducts many: then each host runs `worker`.

    Example:  loco-redis bench run --duration 10s
    """


@documented(BenchReport)
@command.command("run")
@click.option(
    "--hosts",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Hosts, played by processes of this machine.",
)
@click.option(
    "--join",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Conduct N other hosts instead, each of which runs `bench worker`.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=2,
    show_default=True,
    help="Worker processes of each host.",
)
@click.option(
    "--tasks",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="Callers in each worker; and so many agents in all.",
)
@click.option(
    "--capacity",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Slots of the resource.",
)
@click.option(
    "--hold",
    type=Duration(),
    default="20ms",
    show_default=True,
    callback=between(0.0001, 3600),
    help="How long a body takes, on average.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="steady",
    show_default=True,
    help="When requests come, and how much their holds differ.",
)
@click.option(
    "--trace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For --profile trace: a CSV as of `loco-redis replay`, fitted to the load.",
)
@click.option(
    "--load",
    type=_Load(),
    default="0.8",
    show_default=True,
    help="Arrivals as a share of what the slots can do; `max`: all ask again at once.",
)
@click.option(
    "--duration",
    type=Duration(),
    default="60s",
    show_default=True,
    callback=between(1, 86400),
    help="Measured time of a run.",
)
@click.option(
    "--warmup",
    type=Duration(),
    default="5s",
    show_default=True,
    callback=between(0, 3600),
    help="Time before it, which is not measured.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How often; the summary has least, median and most.",
)
@click.option(
    "--alpha",
    type=float,
    callback=_within(0, 1),
    help="Of the choice; default: that of a scheduler.",
)
@click.option(
    "--lease",
    type=Duration(),
    default="10s",
    show_default=True,
    help="A dead worker's slots are free again after so long.",
)
@click.option(
    "--kill-every",
    type=Duration(),
    callback=_within(0.5, 86400),
    help="SIGKILL a worker so often, and start another for it.",
)
@click.option(
    "--netem",
    default="",
    metavar="WORDS",
    help="Trouble as `tc netem` has it, such as 'delay 10ms 2ms loss 0.1%'; Linux.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of all that is drawn.")
@click.option(
    "--run",
    "run_id",
    metavar="ID",
    callback=_checked_id,
    help="Name of the run, for `bench worker`; default: a random one.",
)
@click.option(
    "--patience",
    type=Duration(),
    default="60s",
    show_default=True,
    help="How long to wait for the hosts.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write report.md with plots, and report.json, into this folder.",
)
@redis_option("default: LOCO_REDIS_URL, then REDIS_URL, then a server of its own")
@json_option
def run(**options: Any) -> None:
    """Make load, measure, and judge.

    Requests are due at moments drawn beforehand, and waits count from then, so that a slow system
    cannot hide them. Every body is checked afterwards: no two on one slot, tokens in order, never
    more than the capacity.

    Exit status: 0 fine, 1 a promise did not hold or a host was lost, 2 bad input or no Redis.

    Example:  loco-redis bench run --hosts 4 --load max --kill-every 5s --out report
    """
    _check(**options)
    if options["netem"]:
        _netem.enter(options["netem"])
    plan, terms = _plan(**options), _terms(**options)
    report = carried_out(plan, terms, progress_for(options["as_json"]))
    if options["out"] is not None:
        write(report, options["out"])
    emit(report, options["as_json"], render)
    if report.failures:
        raise Broken(f"a promise did not hold: {'; '.join(report.failures)}")


def _check(
    *, profile: str, trace: Path | None, netem: str, redis: str | None, join: int | None, **_: Any
) -> None:
    if (profile == "trace") != (trace is not None):
        raise click.UsageError("--profile trace and --trace FILE go together: give both")
    if netem and (redis or join):
        raise click.UsageError(
            "--netem makes a network of its own, with a server in it: without --redis and --join "
            "(benchmarks/hosts.sh has trouble between hosts)"
        )
    _need_histograms()


def _plan(**options: Any) -> BenchPlan:
    names = {name: options[name] for name in BenchPlan.__dataclass_fields__ if name in options}
    names["hosts"], names["joined"] = options["join"] or options["hosts"], bool(options["join"])
    names["trace"] = str(options["trace"] or "")
    plan = BenchPlan(
        id=options["run_id"] or secrets.token_hex(3), version=version("loco-redis"), **names
    )
    try:
        Settings.of(name="bench", capacity=plan.capacity, alpha=plan.alpha, lease_ttl=plan.lease)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return plan


def _terms(
    *, redis: str | None, join: int | None, patience: float, trace: Path | None, **_: Any
) -> Terms:
    return Terms(redis=redis, joined=join is not None, patience=patience, trace=trace)


@command.command("worker")
@click.option(
    "--run",
    "run_id",
    metavar="ID",
    required=True,
    callback=_checked_id,
    help="The run to join, as `bench run --join` names it.",
)
@click.option("--as", "name", metavar="NAME", help="Name of this host; default: its own.")
@click.option(
    "--patience",
    type=Duration(),
    default="60s",
    show_default=True,
    help="How long to wait for the run.",
)
@redis_option()
def worker(run_id: str, name: str | None, patience: float, redis: str | None) -> None:
    """Be one host of a run that `bench run --join N` conducts, until it is over.

    It finds the run through Redis, and goes on by itself after it was cut off.

    Example:  loco-redis bench worker --run tuesday -u redis://10.0.0.5
    """
    _need_histograms()
    url = redis or os.environ.get(URL_VARIABLE) or os.environ.get(FALLBACK_URL_VARIABLE)
    if not url:
        raise Refused(f"which Redis? give --redis URL, or set {URL_VARIABLE}")
    host = Host(resolve(url), run_id, name or socket.gethostname(), partial(click.echo, err=True))
    try:
        until_signalled(host.serve(patience))
    except RunGoneError as error:
        raise Refused(str(error)) from error
    except WorkerFailedError as error:
        raise Broken(str(error)) from error


def _need_histograms() -> None:
    try:
        need("hdrh.histogram", "bench")
    except ModuleNotFoundError as error:
        raise Refused(str(error)) from error
