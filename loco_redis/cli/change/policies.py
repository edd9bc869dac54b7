"""`loco-redis policies`: who may work on which data, how often, and on how many slots."""

from __future__ import annotations

import click
from rich.text import Text

from loco_redis.cli._acting import act, checked, confirm, existing, say, set_rules
from loco_redis.cli._console import seconds, shown
from loco_redis.cli._errors import Broken, Refused
from loco_redis.cli._groups import Listing
from loco_redis.cli._options import agent_option, json_option, resource_options, yes_option
from loco_redis.cli._report import documented, emit
from loco_redis.cli.change._policies_report import PoliciesReport, fetch, rate_text, view
from loco_redis.governance import AccessPolicy, RatePolicy
from loco_redis.governance._rules import REMOVED
from loco_redis.observe.rules import RateRule, Rules

_PERIOD = 60.0  # seconds, where nothing is said or stored


@click.group("policies", cls=Listing)
def command() -> None:
    """Show and change access, rates and caps of agents. Without a command: `list`.

    Example:  loco-redis policies set cap batch 2
    """


@documented(PoliciesReport)
@command.command("list")
@resource_options
@agent_option
@json_option
def list_(redis: str | None, name: str | None, agent: str | None, as_json: bool) -> None:
    """List which labels, how many tasks and how many slots agents may have.

    Example:  loco-redis policies list --agent batch
    """
    with existing(redis, name) as observer:
        emit(fetch(observer, agent), as_json, view)


@command.group("set")
def set_() -> None:
    """Set a rule for the whole fleet: access, rate or cap. A process that defines a rule itself
    sets that again when it opens.

    Example:  loco-redis policies set access intern public
    """


@set_.command("access")
@click.argument("agent")
@click.argument("labels", metavar="LABEL...", nargs=-1)
@click.option("--unlabelled", is_flag=True, help="No label at all: only tasks without labels.")
@resource_options
def set_access(
    redis: str | None, name: str | None, agent: str, labels: tuple[str, ...], unlabelled: bool
) -> None:
    """Let AGENT work on data with these labels only; tasks without labels always pass.

    Example:  loco-redis policies set access intern public internal
    """
    if bool(labels) == unlabelled:
        raise click.UsageError("give LABELs, or --unlabelled")
    policy = checked(lambda: AccessPolicy({agent: {"labels": labels}}))
    with existing(redis, name) as observer:
        set_rules("policies set", observer, policy._rules())
        say(f"{shown(agent)} may work on: {', '.join(map(shown, labels)) or 'unlabelled tasks'}")


@set_.command("rate")
@click.option("--agent", metavar="AGENT", help="Of this agent; without it: of all others.")
@click.option("--limit", type=float, required=True, help="Tasks let in per period.")
@click.option("--period", type=float, help="Seconds, the same for all rates.  [default: 60]")
@resource_options
def set_rate(
    redis: str | None, name: str | None, agent: str | None, limit: float, period: float | None
) -> None:
    """Let in so many tasks per period, of one agent or of each that has no rate of its own.

    Example:  loco-redis policies set rate --agent batch --limit 10 --period 60
    """
    with existing(redis, name) as observer:
        rules = Rules.read(observer)
        span = _period(rules, agent, period)
        rate = rules.rate
        default = limit if agent is None else rate.default if rate else None
        own = {} if agent is None else {agent: limit}
        policy = checked(lambda: RatePolicy(own, span, default))
        set_rules("policies set", observer, policy._rules())
        who = "all agents without a rate of their own" if agent is None else shown(agent)
        say(f"{who}: {rate_text(limit, seconds(span))}")


def _period(rules: Rules, agent: str | None, asked: float | None) -> float:
    """The period that holds from now on. Raises Refused where it would change others' rates."""
    stored = rules.rate.period if rules.rate else _PERIOD
    others = {name for name in rules.rates if name != agent}
    if rules.rate is not None and agent is not None and rules.rate.default is not None:
        others.add("all others")
    if asked is None or not others or asked == stored:
        return stored if asked is None else asked
    names = ", ".join(shown(name) for name in sorted(others)[:3])
    raise Refused(
        f"the period is {seconds(stored)} for all rates, also of {names}: "
        "give the limit for that period"
    )


@set_.command("cap")
@click.argument("agent")
@click.argument("most", metavar="N", type=click.IntRange(0))
@resource_options
def set_cap(redis: str | None, name: str | None, agent: str, most: int) -> None:
    """Let AGENT hold N slots at most; 0 pauses it. Who holds more keeps them.

    Example:  loco-redis policies set cap batch 2
    """
    with existing(redis, name) as observer:
        act("policies set", observer, lambda scheduler: scheduler.set_max_concurrency(agent, most))
        say(f"{shown(agent)} may hold {most:,} slots at most")


@command.group("rm")
def rm() -> None:
    """Take a rule away, for the whole fleet: access, rate or cap.

    Example:  loco-redis policies rm cap batch
    """


@rm.command("access")
@click.argument("agent")
@resource_options
@yes_option
def rm_access(redis: str | None, name: str | None, agent: str, yes: bool) -> None:
    """Let AGENT work on data with any label.

    Example:  loco-redis policies rm access intern
    """
    with existing(redis, name) as observer:
        labels = Rules.read(observer).labels
        if agent not in labels:
            raise Broken(f"{shown(agent)} has no access rule")
        now = ", ".join(map(shown, labels[agent])) or "unlabelled tasks"
        confirm(Text(f"let {shown(agent)} work on data with any label, not only {now}"), yes)
        set_rules("policies rm", observer, {b"a" + agent.encode(): REMOVED})
        say(f"done: {shown(agent)} may work on data with any label")


@rm.command("rate")
@click.option("--agent", metavar="AGENT", help="Of this agent; without it: the default.")
@resource_options
@yes_option
def rm_rate(redis: str | None, name: str | None, agent: str | None, yes: bool) -> None:
    """Take away the rate of AGENT, which then has the default, or the default itself.

    Example:  loco-redis policies rm rate --agent batch
    """
    with existing(redis, name) as observer:
        rules = Rules.read(observer)
        rate = rules.rate or RateRule(None, _PERIOD)
        limit = rate.default if agent is None else rules.rates.get(agent)
        who = "all agents without a rate of their own" if agent is None else shown(agent)
        if limit is None:
            raise Broken(f"{who} had no rate" if agent is None else f"{who} has no rate of its own")
        confirm(Text(f"remove the rate of {who}: {rate_text(limit, seconds(rate.period))}"), yes)
        left = {name for name in rules.rates if name != agent}
        changes = {} if agent is None else {b"R" + agent.encode(): REMOVED}
        if agent is None or rate.default is None:
            # The period stays as long as somebody's rate needs it.
            kept = RatePolicy({}, rate.period, None)._rules() if left else {b"r": REMOVED}
            changes |= kept
        set_rules("policies rm", observer, changes)
        say(f"done: the rate of {who} is removed")


@rm.command("cap")
@click.argument("agent")
@resource_options
@yes_option
def rm_cap(redis: str | None, name: str | None, agent: str, yes: bool) -> None:
    """Let AGENT hold any number of slots.

    Example:  loco-redis policies rm cap batch
    """
    with existing(redis, name) as observer:
        caps = Rules.read(observer).caps
        if agent not in caps:
            raise Broken(f"{shown(agent)} has no cap")
        confirm(Text(f"let {shown(agent)} hold more than {caps[agent]:,} slots"), yes)
        act("policies rm", observer, lambda scheduler: scheduler.set_max_concurrency(agent, None))
        say(f"done: {shown(agent)} has no cap")
