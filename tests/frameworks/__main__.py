"""Runs the tests of frameworks, each group in its own environment.

    python -m tests.frameworks [GROUP ...] [--all] [--newest] [--drift] [--write] [--prepare]

Without a name: all that are not heavy. `--write` writes the table of docs/adapters.md anew.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import click

from tests.frameworks import table
from tests.frameworks.environment import make
from tests.frameworks.groups import Group
from tests.frameworks.run import Outcome, run


@click.command(context_settings={"show_default": True})
@click.argument("names", nargs=-1, metavar="[GROUP ...]")
@click.option("--all", "everything", is_flag=True, help="The heavy groups, too.")
@click.option("--newest", is_flag=True, help="Make the environments anew, of newest releases.")
@click.option("--drift", is_flag=True, help="Without the upper ends of the tested ranges.")
@click.option("--write", is_flag=True, help="Write the table of docs/adapters.md anew.")
@click.option("--prepare", is_flag=True, help="Make the environments, and run nothing.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 2, help="Groups at once.")
def main(
    names: tuple[str, ...],
    everything: bool,
    newest: bool,
    drift: bool,
    write: bool,
    prepare: bool,
    jobs: int,
) -> None:
    """Run the tests of these groups of frameworks, or of all that are not heavy."""
    groups = _chosen(names, everything)
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(jobs) as threads:
        if prepare:
            sys.exit("".join(threads.map(make, groups)) or None)
        for outcome in threads.map(lambda group: run(group, newest=newest, drift=drift), groups):
            outcomes.append(outcome)
            click.echo(table.line(outcome))
            if not outcome.good:
                click.echo(outcome.said)
    if write:
        table.write(outcomes)
    bad = [outcome.group.name for outcome in outcomes if not outcome.good]
    if bad:
        sys.exit(f"failed: {', '.join(bad)}")


def _chosen(names: tuple[str, ...], everything: bool) -> list[Group]:
    known = {group.name: group for group in Group.all()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is no group: there are {', '.join(known)}")
    if names:
        return [known[name] for name in names]
    return [group for group in known.values() if everything or not group.heavy]


if __name__ == "__main__":
    main()
