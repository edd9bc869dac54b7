"""How `loco-redis why` looks: words first, then the figures behind them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loco_redis.cli._console import shown, table
from loco_redis.cli._rows import holders_table, waiters_table
from loco_redis.cli.look._why_report import LimitsRow, WhyReport
from loco_redis.observe.explain import Ranked


def view(report: WhyReport) -> RenderableType:
    parts: list[RenderableType] = [Text(shown(report.reason), style="bold"), Text()]
    parts.append(_facts(report))
    if report.requests and report.standing is not None:
        total = report.standing.waiting
        parts += _section("it waits", total, len(report.requests), waiters_table(report.requests))
    if report.before:
        table_ = _ranking_table(report.before, report.agent_id)
        parts += _section("before it", report.before_total, len(report.before), table_)
    if report.holders:
        parts += _section(
            "the slots are held", report.held, len(report.holders), holders_table(report.holders)
        )
    if report.ranking:
        everyone = len(report.ranking)
        table_ = _ranking_table(report.ranking, report.agent_id)
        parts += _section("the whole ranking", everyone, everyone, table_)
    return Group(*parts)


def _section(heading: str, total: int, listed: int, made: RenderableType) -> list[RenderableType]:
    title = Text(f"\n{heading}", style="bold")
    if listed < total:
        title.append(f"  {listed} of {total:,}", style="not bold dim")
    return [title, Padding(made, (0, 0, 0, 2), expand=False)]


def _facts(report: WhyReport) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    # What its sentence says already need not be said again.
    waits = report.state in ("waiting", "unserved")
    for blocker in report.blockers[1:] if waits else report.blockers:
        grid.add_row("also" if waits else "would wait", Text(shown(blocker.words)))
    if report.standing is not None:
        for name, text in _score(report, report.standing):
            grid.add_row(name, text)
    else:
        grid.add_row("score", Text("none: nothing of it is queued"))
    for row in report.limits:
        for name, words in _limits(row):
            grid.add_row(name, Text(shown(words)))
    if report.refusal is None:
        grid.add_row("new task", Text("would be let in (of weight 1)"))
    else:
        grid.add_row("new task", Text(shown(f"would be refused: {report.refusal}"), style="yellow"))
    return grid


def _score(report: WhyReport, row: Ranked) -> list[tuple[str, Text]]:
    q, d = row.queue_depth_weighted, row.dmax
    factor = "" if row.trust == 1 else f" * {row.trust:g} trust"
    terms = f"{row.depth_term:.3f} depth + {row.age_term:.3f} age"
    terms = f"({terms}){factor}" if factor else terms
    place = f"rank {row.rank} of {report.waiting_agents:,} who wait" if row.rank else "not waiting"
    score = Text.assemble((f"{row.score:.3f}", "bold"), f" = {terms}", (f"    {place}", "bold"))
    a, most = report.alpha, report.max_depth
    return [
        ("score", score),
        ("depth", Text(f"alpha {a:.4g} * Q {q:,g} / max Q {most:,g} = {row.depth_term:.3f}")),
        (
            "age",
            Text(f"{1 - a:.4g} * D {d:,} / max D {report.max_age:,} ticks = {row.age_term:.3f}"),
        ),
    ]


def _limits(row: LimitsRow) -> list[tuple[str, str]]:
    of = f" (tenant {row.name})" if row.scope == "tenant" else ""
    found = []
    if row.limit is not None:
        span = f" a {row.period}" if row.period in ("day", "month") else ""
        span = span or (f" in {float(row.period):g} s" if row.period else "")
        words = f"{row.limit:,g}{span}: {row.spent:,g} spent, {row.reserved:,g} reserved"
        if row.unsettled:
            words += f", {row.unsettled:,g} unsettled"
        words += f", {row.left:,g} left"
        if row.mode in ("alert", "downgrade"):
            words += f" ({row.mode} beyond it)"
        found.append(("budget", words + of))
    if row.cap is not None:
        found.append(("cap", f"{row.held:,} of {row.cap:,} slots held{of}"))
    if row.rate is not None:
        found.append(("rate", f"{row.rate:g} tasks in {row.rate_period:g} s{of}"))
    return found


def _ranking_table(rows: Sequence[Ranked], agent: str) -> Table:
    trust = ["trust"] if any(row.trust != 1 for row in rows) else []
    made = table("#", "agent", "score", "depth", "age", *trust, "Q", "D", "waiting", "", left=2)
    made.columns[0].justify = "right"
    made.columns[-1].justify = "left"
    for row in rows:
        note = "at its cap" if row.capped else "" if row.rank else "nobody asks"
        made.add_row(
            str(row.rank or ""),
            Text(shown(row.agent_id)),
            f"{row.score:.3f}",
            f"{row.depth_term:.3f}",
            f"{row.age_term:.3f}",
            *([f"{row.trust:g}"] if trust else []),
            f"{row.queue_depth_weighted:,g}",
            f"{row.dmax:,}",
            f"{row.waiting:,}",
            Text(note, style="yellow"),
            style="bold" if row.agent_id == agent else "",
        )
    return made
