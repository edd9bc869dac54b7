"""`loco-redis plan`: plans, their steps, and how far they have come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from loco_redis.cli._canvas import canvas_for
from loco_redis.cli._console import make_console
from loco_redis.cli._groups import Listing
from loco_redis.cli._options import between, json_option, limit_option, redis_option
from loco_redis.cli._report import documented, emit, to_json
from loco_redis.cli._target import open_link
from loco_redis.cli.look._plan_view import PlanRow, PlansReport, list_view, status_view
from loco_redis.errors import UnknownPlanError
from loco_redis.observe import Link
from loco_redis.orchestration.plans import Plan, PlanStatus
from loco_redis.orchestration.plans._keys import REGISTRY, PlanKeys
from loco_redis.orchestration.plans.status import of_reply


@dataclass(frozen=True)
class GraphReport:
    """The plan as a flowchart for Mermaid, with the states of its steps, which stand in `states` by
    name, too."""

    plan_id: str
    mermaid: str
    states: dict[str, str]


def fetch_list(link: Link, limit: int) -> PlansReport:
    ids = [plan_id.decode() for plan_id in link.call("ZREVRANGE", REGISTRY, 0, limit - 1)]
    rows = [_row(link, plan_id) for plan_id in ids]
    return PlansReport(link.where, link.call("ZCARD", REGISTRY), [row for row in rows if row])


def _row(link: Link, plan_id: str) -> PlanRow | None:
    """None: its keys have gone, and the list does not know it yet."""
    keys = PlanKeys(plan_id)
    found: list[Any] = link.call("HMGET", keys.plan, "name", "state", "left", "created", "ended")
    if found[1] is None:
        return None
    name, state = found[0].decode(), found[1].decode()
    left, created, ended = map(int, found[2:])
    total = link.call("HLEN", keys.all[1])
    return PlanRow(plan_id, name, state, total - left, total, created / 1e6, ended / 1e6 or None)


def fetch(link: Link, plan_id: str) -> tuple[PlanStatus, dict[str, Any]]:
    """And the stored definition. Raises UnknownPlanError."""
    # In pages, so that users without EVAL may look; a step may be of a slightly later moment.
    plan, steps, _, _, _, errors = PlanKeys(plan_id).all
    seconds, micros = link.call("TIME")
    hashes = map(link.scan, (plan, steps, errors))
    rows = [[part for pair in found.items() for part in pair] for found in hashes]
    found = of_reply(plan_id, [int(seconds) * 1_000_000 + int(micros), *rows])
    if found is None:
        raise UnknownPlanError(plan_id, link.where)
    return found


def _checked_id(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        PlanKeys(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


_id_argument = click.argument("plan_id", metavar="ID", callback=_checked_id)


@click.group("plan", cls=Listing)
def command() -> None:
    """Show the plans of a Redis, or how one of them stands.

    Example:  loco-redis plan status nightly
    """


@documented(PlansReport)
@command.command("list")
@redis_option()
@limit_option
@json_option
def list_(redis: str | None, limit: int, as_json: bool) -> None:
    """List the plans: those that have not ended, then those that ended last.

    Example:  loco-redis plan list --limit 10
    """
    with open_link(redis) as link:
        emit(fetch_list(link, limit), as_json, list_view)


@documented(PlanStatus)
@command.command("status")
@_id_argument
@redis_option()
@click.option("--watch", is_flag=True, help="Until it has ended; exit status 1 if not by success.")
@click.option(
    "-i",
    "--interval",
    type=float,
    default=1.0,
    show_default=True,
    callback=between(0.1, 60),
    help="Seconds between two looks of --watch.",
)
@json_option
def status(plan_id: str, redis: str | None, watch: bool, interval: float, as_json: bool) -> None:
    """Show how a plan stands: its steps, their states, times and errors.

    Example:  loco-redis plan status nightly --watch
    """
    with open_link(redis) as link:
        report, _ = fetch(link, plan_id)
        if watch:
            report = _watched(link, report, interval, as_json)
        emit(report, as_json, status_view)
    if watch and report.state != "done":
        raise click.exceptions.Exit(1)


def _watched(link: Link, report: PlanStatus, interval: float, as_json: bool) -> PlanStatus:
    """What it is in the end."""
    try:
        with canvas_for(make_console(), as_json) as canvas:
            while report.state == "running":
                canvas.draw(partial(status_view, report))
                time.sleep(interval)
                report, _ = fetch(link, report.plan_id)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        raise click.exceptions.Exit(130) from None
    return report


@documented(GraphReport)
@command.command("graph")
@_id_argument
@redis_option()
@json_option
def graph(plan_id: str, redis: str | None, as_json: bool) -> None:
    """Print a plan as a Mermaid flowchart, its steps coloured by their states.

    Example:  loco-redis plan graph nightly > nightly.mmd
    """
    with open_link(redis) as link:
        found, definition = fetch(link, plan_id)
    states = {step.name: step.state for step in found.steps}
    text = Plan.from_dict(definition).to_mermaid(states)
    click.echo(to_json(GraphReport(plan_id, text, states)) if as_json else text.rstrip())
