"""How the demo looks: pure functions from the story and a snapshot to text and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loco_redis.cli._console import table, verdict
from loco_redis.cli.play._demo_story import Decision, Kill, Story
from loco_redis.cli.play._render import agents_table, colour, figures_json
from loco_redis.cli.play._stats import AgentFigures, Percentiles
from loco_redis.snapshots import AgentSnapshot, Holder, Snapshot

AGENTS = ("webhook", "chat", "analyst", "embed", "batch")
_BAR = 12  # characters
_FIXED_LINES = 19  # of a frame without its decisions


def _style(agent: str) -> str:
    return colour(AGENTS.index(agent)) if agent in AGENTS else ""


def decision_line(decision: Decision, started: float) -> Text:
    """One line: when, which slot went to whom, on which worker, and why."""
    line = _moment(decision.start - started)
    line.append(f"slot {decision.slot} -> ")
    work = decision.label or decision.agent
    line.append(f"{work:10}", style=_style(decision.agent))
    line.append(f" {decision.worker}")
    line.append(
        f"  score {decision.score:.2f}  weight {decision.weight:.1f}"
        f"  waited {decision.waited:4.1f} s, {decision.ticks:2d} ticks",
        style="dim",
    )
    if decision.attempt > 1:
        line.append(f"  attempt {decision.attempt}", style="bold yellow")
    elif decision.label:
        line.append("  durable")
    return line


def kill_line(kill: Kill, story: Story) -> Text:
    """What was killed, and what it held."""
    line = _moment(kill.at - story.started)
    line.append(f"SIGKILL {kill.worker}", style="bold red")
    held = ", ".join(f"slot {h.slot} ({_work(h, story)})" for h in kill.held)
    line.append(f" while it holds {held}")
    return line


def reclaim_line(story: Story) -> Text:
    """When the dead worker's slots were free again."""
    took = story.reclaim_time()
    assert took is not None
    assert story.kill is not None
    line = _moment(story.kill.at + took - story.started)
    slots = "1 slot" if len(story.dead) == 1 else f"{len(story.dead)} slots"
    line.append(f"RECLAIMED {slots}", style="bold green")
    line.append(f" {took:.2f} s after the kill (bound {story.reclaim_bound:.2f} s)")
    if late := len(story.dead) - len(story.kill.held):
        line.append(f"; {late} given to it after its death")
    return line


def _moment(seconds: float) -> Text:
    return Text.assemble((f"{seconds:6.2f} s  ", "dim"), no_wrap=True, overflow="ellipsis")


def _work(holder: Holder, story: Story) -> str:
    return story.names.get(holder.task_id, "durable") if holder.task_id else holder.agent_id


def frame(story: Story, snapshot: Snapshot, now: float, seconds: float, height: int) -> Group:
    """The live view, to be drawn in `height` lines."""
    elapsed = now - story.started
    shown = max(0, height - _FIXED_LINES)
    recent = story.decisions[-shown:] if shown else []
    parts: list[RenderableType] = [
        _headline(story, snapshot, elapsed, seconds),
        ProgressBar(total=seconds, completed=min(elapsed, seconds)),
        Text("\n"),  # the bar does not end its line
        slots_table(story, snapshot),
        Text(),
        scores_table(story, snapshot),
        Text(),
        *(decision_line(decision, story.started) for decision in recent),
    ]
    return Group(*parts)


def _headline(story: Story, snapshot: Snapshot, elapsed: float, seconds: float) -> Text:
    alive = len(story.pids) - (1 if story.kill else 0)
    line = Text("loco-redis demo", style="bold")
    line.append(
        f"  {alive} workers, {snapshot.capacity} slots, lease {snapshot.lease_ttl:g} s, "
        f"{snapshot.granted} grants",
        style="not bold",
    )
    line.append(f"  {elapsed:4.1f} of about {seconds:g} s", style="not bold dim")
    return line


def slots_table(story: Story, snapshot: Snapshot) -> Table:
    """Who holds each slot. A dead worker keeps its slots until its lease runs out."""
    made = table("slot", "agent", "work", "worker", "held for", left=4)
    holders = {holder.slot: holder for holder in snapshot.holders}
    pids = {s.session: s.pid for s in snapshot.sessions}
    for slot in range(snapshot.capacity):
        holder = holders.get(slot)
        if holder is None:
            made.add_row(str(slot), Text("free", style="dim"), "", "", "")
            continue
        worker = Text(story.pids.get(pids.get(holder.session, 0), "?"))
        if story.is_dead(holder):
            worker.append(" (dead)", style="bold red")
        made.add_row(
            str(slot),
            Text(holder.agent_id, style=_style(holder.agent_id)),
            f"durable {_work(holder, story)}" if holder.task_id else "bound to its request",
            worker,
            f"{holder.age:.2f} s",
        )
    return made


def scores_table(story: Story, snapshot: Snapshot) -> Table:
    """The agents, the next to be served first."""
    made = table(
        "agent", "", "score", "Q weight", "D ticks", "queued", "waiting", "holding", left=2
    )
    agents = {agent.agent_id: agent for agent in snapshot.agents}
    known = [agents.get(name) or _absent(name) for name in AGENTS]
    for agent in sorted(known, key=lambda a: -a.score):
        made.add_row(
            Text(agent.agent_id, style=_style(agent.agent_id)),
            ProgressBar(total=1.0, completed=agent.score, width=_BAR),
            f"{agent.score:.2f}",
            f"{agent.queue_depth_weighted:.1f}",
            str(agent.dmax),
            str(agent.queued),
            str(agent.waiting),
            str(agent.holding),
        )
    return made


def _absent(name: str) -> AgentSnapshot:
    """An agent of which Redis has nothing at the moment."""
    return AgentSnapshot(name, "", False, 0.0, 0, 0.0, 0, 0, 0)


def summary(story: Story, seconds: float) -> Group:
    """The end: what each agent got, and which promises held."""
    findings = table("", "promise", "figures", left=3)
    findings.columns[2].no_wrap = False
    for finding in story.findings():
        findings.add_row(verdict(finding.held), finding.promise, finding.figures)
    return Group(
        Text(),
        Text(f"{len(story.decisions)} grants in {seconds:.1f} s", style="bold"),
        Text(),
        agents_table(_rows(story), _total(story), "grants"),
        Text(),
        findings,
    )


def summary_json(story: Story, seconds: float) -> dict[str, Any]:
    """The same for --json."""
    findings = [asdict(finding) for finding in story.findings()]
    return {
        "ok": all(finding["held"] for finding in findings),
        "seconds": round(seconds, 3),
        "capacity": story.capacity,
        "peak": story.last.peak if story.last else 0,
        "grants": len(story.decisions),
        "reclaim_seconds": story.reclaim_time(),
        "reclaim_bound": story.reclaim_bound,
        "durable": {
            "submitted": len(story.submitted),
            "completed": len(story.completed),
            "repeated": len(story.repeats()),
        },
        "agents": [figures_json(row) for row in _rows(story)],
        "findings": findings,
    }


def failures(story: Story) -> Sequence[str]:
    """One clear line for each promise that did not hold."""
    return [f"{f.promise}: {f.figures}" for f in story.findings() if not f.held]


def _rows(story: Story) -> list[AgentFigures]:
    return sorted(story.figures(), key=lambda row: AGENTS.index(row.agent))


def _total(story: Story) -> AgentFigures:
    return AgentFigures(
        "all",
        len(story.decisions),
        sum(row.cost for row in _rows(story)),
        Percentiles.of([d.waited for d in story.decisions]),
        Percentiles.of([d.ticks for d in story.decisions]),
    )
