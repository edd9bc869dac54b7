"""How `loco-redis status` looks."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loco_redis.cli._console import seconds, shown, table
from loco_redis.cli._rows import holders_table
from loco_redis.cli.look._status_report import StatusReport

_CELLS = 30


def view(report: StatusReport) -> RenderableType:
    head = Text.assemble((report.resource, "bold"), "  ", _state(report))
    head.append(f"  {report.server}", style="dim")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for problem in report.problems:
        grid.add_row(Text("problem", style="red"), Text(shown(problem), style="red"))
    for name, text in _facts(report):
        grid.add_row(name, text)
    parts: list[RenderableType] = [head, grid]
    if report.holders:
        parts += [_heading("held", len(report.holders), report.held), holders_table(report.holders)]
    if report.longest_waiting:
        parts += [Text("\nwaiting longest", style="bold"), _waiting_table(report)]
    return Group(*parts)


def line(report: StatusReport) -> Text:
    """For --check."""
    counts = f"{report.held:,} of {report.capacity:,} held, {report.waiting:,} waiting"
    if report.oldest_wait is not None:
        counts += f", oldest {seconds(report.oldest_wait)}"
    if not report.problems:
        return Text.assemble(("ok", "bold green"), f"  {report.resource}: {counts}")
    words = shown("; ".join(report.problems))
    return Text.assemble(("WRONG", "bold red"), f"  {report.resource}: {words}  ({counts})")


def _heading(words: str, listed: int, total: int) -> Text:
    text = Text(f"\n{words}", style="bold")
    if listed < total:
        text.append(f"  {listed} of {total:,}, for longest: see holders", style="not bold dim")
    return text


def _state(report: StatusReport) -> Text:
    match report.state:
        case "paused":
            return Text("paused: nothing is granted (loco-redis resume)", style="bold yellow")
        case "throttled":
            words = f"held back for {seconds(report.held_back_for)}: a holder was throttled"
            return Text(words, style="yellow")
        case "rate":
            return Text(f"next grant in {seconds(report.rate_wait)}: its rate", style="yellow")
        case _:
            return Text("granting", style="green")


def bar(held: int, effective: int, capacity: int) -> Text:
    """A cell for each slot, or for a share of them: held, free, and out of use for now."""
    cells = min(capacity, _CELLS)
    if not cells:
        return Text()
    used = max(round(cells * min(held, capacity) / capacity), 1 if held else 0)
    usable = max(round(cells * effective / capacity), used)
    return Text.assemble(
        ("█" * used, "cyan"), ("░" * (usable - used), "cyan"), ("-" * (cells - usable), "yellow")
    )


def _slots(report: StatusReport) -> Text:
    text = bar(report.held, report.effective_capacity, report.capacity)
    share = f" {report.held:,} of {report.capacity:,} held"
    text.append(share if text else f"{report.held:,} held, capacity 0")
    if report.state != "paused" and report.effective_capacity < report.capacity:
        text.append(f", {report.effective_capacity:,} usable after throttles", style="yellow")
    elif report.adaptive_capacity:
        text.append(", adaptive")
    text.append(f", peak {report.peak:,}", style="dim")
    return text


def _facts(report: StatusReport) -> list[tuple[str, Text]]:
    r = report
    waiting = f"{r.waiting:,}"
    if r.max_waiters is not None:
        waiting += f" of at most {r.max_waiters:,}"
    if r.oldest_wait is not None and r.oldest_waiting_agent is not None:
        waiting += f", the oldest for {seconds(r.oldest_wait)} ({shown(r.oldest_waiting_agent)})"
    if r.serving:
        waiting += f"; {_idle(r.serving)}"
    alpha = f"{r.alpha:.4g}" + (", tunes itself" if r.auto_tune else "")
    now = "" if r.granted_per_second is None else f"{r.granted_per_second:,.3g} grants/s now, "
    ever = seconds(max(r.server_time - r.born, 0.0))
    totals = f"{r.granted:,} granted, {r.released:,} released, {r.reclaimed:,} reclaimed"
    agents = f"{r.competing:,} competing, {r.registered:,} registered"
    tasks = f"{r.durable_tasks:,} durable"
    if r.delayed_tasks:
        tasks += f", {r.delayed_tasks:,} of them delayed"
    if r.dead_tasks:
        tasks += f", {r.dead_tasks:,} of them dead (loco-redis dead)"
    sessions = f"{r.live_sessions:,} live, lease {r.lease_ttl:g} s"
    if r.quiet > r.lease_ttl:
        sessions += f", nothing heard for {seconds(r.quiet)}"
    log = f"about {r.events:,} events" if r.events else "off (loco-redis config set events=1000)"
    return [
        ("slots", _slots(r)),
        ("waiting", Text(waiting)),
        ("alpha", Text(alpha)),
        *([("rate", Text(_rate(r)))] if r.rpm or r.tpm else []),
        ("speed", Text(f"{now}{r.granted_per_second_ever:,.3g}/s on average over {ever}")),
        ("totals", Text(totals)),
        ("agents", Text(agents)),
        ("tasks", Text(tasks)),
        ("sessions", Text(sessions)),
        ("log", Text(log)),
        ("clock", Text(f"tick {r.tick:,}, configuration version {r.version:,}")),
    ]


def _idle(serving: int) -> str:
    """Those who serve the tasks of any agent."""
    return f"{serving:,} {'asks' if serving == 1 else 'ask'} for a task of any agent"


def _rate(r: StatusReport) -> str:
    rates = []
    if r.rpm:
        rates.append(f"rpm {r.rpm:,} ({r.rpm_burst:,} at once)")
    if r.tpm:
        rates.append(f"tpm {r.tpm:,} ({r.tpm_burst:,} at once)")
    return ", ".join(rates)


def _waiting_table(report: StatusReport) -> Table:
    made = table("agent", "waiting", "for", "score", "Q", "D", "holds")
    for row in report.longest_waiting:
        made.add_row(
            Text(shown(row.agent_id)),
            f"{row.waiting:,}",
            seconds(row.oldest_wait),
            f"{row.score:.3f}",
            f"{row.queue_depth_weighted:,g}",
            f"{row.dmax:,}",
            f"{row.holding:,}",
        )
    return made
