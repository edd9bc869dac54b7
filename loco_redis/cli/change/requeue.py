"""`loco-redis requeue`: queue dead durable tasks again."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._acting import act, confirm, existing, say
from loco_redis.cli._console import shown
from loco_redis.cli._errors import Broken
from loco_redis.cli._options import resource_options, yes_option
from loco_redis.cli.change._units import counted
from loco_redis.errors import TaskAliveError, UnknownTaskError
from loco_redis.observe import Observer
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.snapshots import TaskSnapshot

_LISTED = 20


def fetch(observer: Observer, ids: Sequence[str]) -> tuple[list[TaskSnapshot], list[str]]:
    """The dead tasks that are meant (none named: all), and the complaints about other ids."""
    tasks = {task.task_id: task for task in observer.tasks()}
    wanted = list(dict.fromkeys(ids)) or list(tasks)
    dead = [tasks[one] for one in wanted if one in tasks and tasks[one].state == "dead"]
    complaints = [
        f"no task {shown(one)}" if one not in tasks else f"task {one} is {tasks[one].state}"
        for one in wanted
        if ids and (one not in tasks or tasks[one].state != "dead")
    ]
    return dead, complaints


def view(tasks: Sequence[TaskSnapshot]) -> RenderableType:
    """What is going to be done."""
    lines = [Text(f"queue {counted(len(tasks), 'dead task')} again, with all attempts:")]
    for task in tasks[:_LISTED]:
        line = Text(f"  {task.task_id}  ")
        line.append(shown(task.agent_id), style="bold")
        of = f" of {task.max_attempts}" if task.max_attempts else ""
        line.append(f"  died after {task.attempt}{of} attempts")
        lines.append(line)
    if len(tasks) > _LISTED:
        lines.append(Text(f"  and {len(tasks) - _LISTED:,} more", style="dim"))
    return Group(*lines)


async def _requeue(scheduler: AsyncLOCOScheduler, tasks: Sequence[TaskSnapshot]) -> list[str]:
    """Returns complaints about those that are not dead any more."""
    complaints = []
    for task in tasks:
        try:
            await scheduler.operations.requeue(task.task_id)
        except (UnknownTaskError, TaskAliveError) as error:
            complaints.append(str(error))
    return complaints


@click.command("requeue")
@click.argument("ids", metavar="[TASK]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every dead task.")
@resource_options
@yes_option
def command(
    redis: str | None, name: str | None, ids: tuple[str, ...], every: bool, yes: bool
) -> None:
    """Queue dead durable tasks again. They keep their age and have all their attempts, but no
    deadline that has passed; `loco-redis dead` lists them.

    Example:  loco-redis requeue --all
    """
    if bool(ids) == every:
        raise click.UsageError("give the ids of TASKs, or --all")
    with existing(redis, name) as observer:
        tasks, complaints = fetch(observer, ids)
        if not tasks:
            raise Broken("; ".join(complaints) or f"no task of {observer.name} is dead")
        confirm(view(tasks), yes)
        late = act("requeue", observer, lambda scheduler: _requeue(scheduler, tasks))
        say(f"done: {len(tasks) - len(late)} queued again")
        if late or complaints:
            raise Broken("; ".join([*complaints, *late]))
