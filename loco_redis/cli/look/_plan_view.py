"""Plans as people read them: a table of all, and the steps of one with a progress bar."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loco_redis.cli._console import seconds, shown, table
from loco_redis.cli._rows import cut
from loco_redis.orchestration.plans import PlanStatus, StepStatus

_STYLES = {
    "pending": "dim",
    "running": "cyan",
    "done": "green",
    "failed": "bold red",
    "skipped": "yellow",
    "cancelled": "yellow",
}
_BAR = 30  # cells
_FRAME = 6  # lines above and below the steps


@dataclass(frozen=True)
class PlanRow:
    """A plan; `finished` of `total` steps have ended in any way. `state`: running (it has not
    ended; there may be nobody who runs it), done, failed, cancelled. Times are seconds since 1970
    by the server's clock."""

    plan_id: str
    name: str
    state: str
    finished: int
    total: int
    created: float
    ended: float | None


@dataclass(frozen=True)
class PlansReport:
    """Plans of a server, those that have not ended first; `total` counts those that are not listed,
    too. They are read one after the other, so they may be of slightly different moments."""

    server: str
    total: int
    plans: list[PlanRow]


def list_view(report: PlansReport) -> RenderableType:
    if not report.plans:
        return Text(f"no plan at {report.server}: Plan.run() stores one")
    made = table("plan", "name", "state", "steps", "took", left=3)
    for row in report.plans:
        made.add_row(
            Text(shown(row.plan_id)),
            Text(shown(row.name)),
            _state(row.state),
            f"{row.finished:,}/{row.total:,}",
            seconds(row.ended - row.created) if row.ended is not None else "",
        )
    return cut(made, len(report.plans), report.total)


def status_view(report: PlanStatus, height: int | None = None) -> RenderableType:
    """With a height: those steps that fit, what runs or has failed before all others."""
    steps = report.steps
    if height is not None and len(steps) > max(height - _FRAME, 1):
        urgent = sorted(steps, key=lambda step: _URGENCY.index(step.state))
        steps = urgent[: max(height - _FRAME, 1)]
    made = table("step", "agent", "state", "tried", "took", "", left=3)
    # Errors are seen in full, where they need not fit a live picture.
    made.columns[-1].justify, made.columns[-1].no_wrap = "left", height is not None
    for step in steps:
        made.add_row(
            Text(shown(step.name)),
            Text(shown(step.agent_id)),
            _state(step.state),
            f"{step.attempts}" if step.attempts else "",
            _took(step, report.server_time),
            Text(shown(_note(step, report)), overflow="ellipsis"),
        )
    more = report.total - len(steps)
    rest = [Text(f"{more:,} more steps", style="dim")] if more else []
    return Group(_head(report), Text(), made, *rest)


_URGENCY = ("failed", "running", "pending", "cancelled", "skipped", "done")


def _head(report: PlanStatus) -> Table:
    name = f" ({shown(report.name)})" if report.name else ""
    took = (report.ended or report.server_time) - report.created
    made = Table.grid(padding=(0, 1))
    made.add_row(
        Text.assemble((shown(report.plan_id), "bold"), name),
        _state(report.state),
        ProgressBar(total=report.total, completed=report.finished, width=_BAR),
        f"{report.finished:,}/{report.total:,}",
        seconds(max(took, 0)),
    )
    return made


def _state(state: str) -> Text:
    return Text(shown(state), style=_STYLES.get(state, ""))


def _took(step: StepStatus, now: float) -> str:
    if step.started is None or step.state == "pending":
        return ""
    return seconds(max((step.ended or now) - step.started, 0))


def _note(step: StepStatus, report: PlanStatus) -> str:
    if step.state == "running" and step.due is not None and step.due <= report.server_time:
        return f"{step.owner} is silent: the step is free for others"
    if step.state == "running":
        return f"by {step.owner}"
    if step.state == "pending" and step.error is not None and step.due is not None:
        left = max(step.due - report.server_time, 0)
        return f"again in {seconds(left)} after {step.error}"
    if step.state == "pending":
        ended = {other.name for other in report.steps if other.ended is not None}
        waits = [name for name in step.depends_on if name not in ended]
        return f"waits for {', '.join(waits)}" if waits else "ready"
    return step.error or ""
