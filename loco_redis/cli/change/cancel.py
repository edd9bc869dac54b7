"""`loco-redis cancel`: end requests and durable tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._acting import act, confirm, existing, say
from loco_redis.cli._console import seconds, shown
from loco_redis.cli._errors import Broken
from loco_redis.cli._options import resource_options, yes_option
from loco_redis.cli._rows import HolderRow, WaiterRow, holder_rows, process, waiter_rows
from loco_redis.errors import TaskRunningError, UnknownRequestError, UnknownTaskError
from loco_redis.observe import Observer
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.snapshots import TaskSnapshot


@dataclass(frozen=True)
class Found:
    """What the ids mean: at most one of these for each; and those that mean nothing."""

    waiters: list[WaiterRow]
    holders: list[HolderRow]
    tasks: list[TaskSnapshot]
    running: list[TaskSnapshot]
    unknown: list[str]

    @property
    def count(self) -> int:
        return len(self.waiters) + len(self.holders) + len(self.tasks)


def fetch(observer: Observer, ids: Sequence[str]) -> Found:
    """Requests and tasks look alike: reading says which is which."""
    now = observer.snapshot()
    requests, sessions = observer.requests(now), observer.sessions()
    waiters = {row.request_id: row for row in waiter_rows(requests.waiters, sessions)}
    holders = {row.request_id: row for row in holder_rows(requests.holders, sessions)}
    # A task that was submitted is no request, and nothing else has its id.
    tasks = {task.task_id: task for task in observer.tasks(now)} if now.durable_tasks else {}
    wanted = list(dict.fromkeys(ids))
    asked = [tasks[one] for one in wanted if one in tasks]
    return Found(
        [waiters[one] for one in wanted if one in waiters],
        [holders[one] for one in wanted if one in holders],
        [task for task in asked if task.state != "running"],
        [task for task in asked if task.state == "running"],
        [one for one in wanted if one not in {*waiters, *holders, *tasks}],
    )


def view(found: Found) -> RenderableType:
    """What is going to be done, a line for each."""
    lines = []
    for waiter in found.waiters:
        line = _line(waiter.request_id, waiter.agent_id)
        line.append_text(process(waiter.host, waiter.pid))
        line.append(f" has waited for {seconds(waiter.age)}: it gets EvictedError")
        lines.append(line)
    for holder in found.holders:
        line = _line(holder.request_id, holder.agent_id)
        line.append_text(process(holder.host, holder.pid))
        line.append(
            f" holds slot {holder.slot} for {seconds(holder.age)}: its lease is lost; "
            "Redis cannot stop the work itself"
        )
        lines.append(line)
    for task in found.tasks:
        line = _line(task.task_id, task.agent_id)
        line.append(f"a {task.state} task of weight {task.weight:g}: it is removed for good")
        lines.append(line)
    return Group(*lines)


def _line(ident: str, agent: str) -> Text:
    return Text.assemble(f"cancel {ident}  ", (shown(agent), "bold"), "  ")


def complaint(found: Found, ended: Sequence[str] = ()) -> str:
    """What could not be done, in one line; empty when all was."""
    parts = []
    if missing := [*found.unknown, *ended]:
        names = ", ".join(map(shown, missing))
        parts.append(f"no request or task {names}: ended, or never there")
    if found.running:
        names = ", ".join(task.task_id for task in found.running)
        parts.append(f"task {names} is running: `loco-redis release` takes its slot away")
    return "; ".join(parts)


async def _cancel(scheduler: AsyncLOCOScheduler, found: Found) -> list[str]:
    """Returns the ids of those that have ended meanwhile."""
    ended = []
    waiting = [row.request_id for row in found.waiters]
    holding = [row.request_id for row in found.holders]
    for request in waiting + holding:
        try:
            await scheduler.operations.cancel(request)
        except UnknownRequestError:
            ended.append(request)
    for task in found.tasks:
        try:
            await scheduler.cancel_task(task.task_id)
        except (UnknownTaskError, TaskRunningError):
            ended.append(task.task_id)
    return ended


@click.command("cancel")
@click.argument("ids", metavar="REQUEST_OR_TASK...", nargs=-1, required=True)
@resource_options
@yes_option
def command(redis: str | None, name: str | None, ids: tuple[str, ...], yes: bool) -> None:
    """End requests and durable tasks. Requests that wait or hold, tasks that are queued, delayed
    or dead, by the ids that `loco-redis waiters`, `holders --json`, `tasks` and `dead` list.

    Example:  loco-redis cancel 5f0c2a9e41d7:000000000012
    """
    with existing(redis, name) as observer:
        found = fetch(observer, ids)
        if not found.count:
            raise Broken(complaint(found))
        confirm(view(found), yes)
        ended = act("cancel", observer, lambda scheduler: _cancel(scheduler, found))
        say(f"done: {found.count - len(ended)} cancelled")
        if trouble := complaint(found, ended):
            raise Broken(trouble)
