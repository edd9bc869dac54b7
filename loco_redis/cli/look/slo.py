"""`loco-redis slo`: how many of the last waits were too long."""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._acting import existing
from loco_redis.cli._options import json_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.observe import Observer
from loco_redis.observe import rules as stored

_STYLES = {"healthy": "green", "warning": "yellow", "critical": "red", "exhausted": "bold red"}


@dataclass(frozen=True)
class SLOReport:
    """The SLO of a resource and how it is kept. `target_wait` in ticks; `counted` of at most
    `window` last waits, `late` of them above the target; `warn` and `critical`: the shares of late
    ones from which on `state` is warning and critical; at 1.0 it is exhausted, else healthy. All
    are null where no SLO is watched."""

    resource: str
    state: str | None
    target_wait: int | None
    window: int | None
    counted: int | None
    late: int | None
    warn: float | None
    critical: float | None


def fetch(observer: Observer) -> SLOReport:
    rule = stored.slo_rule(observer)
    if rule is None:
        return SLOReport(observer.name, None, None, None, None, None, None, None)
    counted, late, state = stored.slo_waits(observer, rule)
    return SLOReport(
        resource=observer.name,
        state=state.value,
        target_wait=rule.target_wait,
        window=rule.window,
        counted=counted,
        late=late,
        warn=rule.warn,
        critical=rule.critical,
    )


def view(report: SLOReport) -> RenderableType:
    if report.state is None or report.warn is None or report.critical is None:
        return Text(
            f"{report.resource} has no SLO: a scheduler opened with slo=SLOBudget() sets one"
        )
    share = f" ({report.late / report.counted:.0%})" if report.counted and report.late else ""
    return Text.assemble(
        (report.state, _STYLES[report.state]),
        f": {report.late} of the last {report.counted} waits{share} took longer than "
        f"{report.target_wait} ticks\n",
        (
            f"the last {report.window} count; warning from {report.warn:.0%}, critical from "
            f"{report.critical:.0%}",
            "dim",
        ),
    )


@documented(SLOReport)
@click.command("slo")
@resource_options
@json_option
def command(redis: str | None, name: str | None, as_json: bool) -> None:
    """Show how many of the last waits were too long. The target is the fleet's.

    Example:  loco-redis slo --json
    """
    with existing(redis, name) as observer:
        emit(fetch(observer), as_json, view)
