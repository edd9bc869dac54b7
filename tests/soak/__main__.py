"""`python -m tests.soak`: everything goes wrong at random for some minutes; is all well?

The plan of faults follows from the seed; when what happens in between does not.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from pathlib import Path

import click
from rich.console import Console

from tests.servers import BINARIES, DEFAULT
from tests.soak.conductor import Soak
from tests.soak.report import Report, report
from tests.soak.verdict import judge


@click.command()
@click.option("--minutes", type=float, default=2.0, show_default=True)
@click.option("--processes", type=click.IntRange(2), default=8, show_default=True)
@click.option("--callers", type=click.IntRange(6), default=18, show_default=True)
@click.option("--seed", type=int, help="of the plan of faults; random by default")
@click.option("--server", type=click.Choice(list(BINARIES)), default=DEFAULT, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the report there, too")
@click.option("--log", type=click.Path(path_type=Path), help="keep what the processes have logged")
def main(
    minutes: float,
    processes: int,
    callers: int,
    seed: int | None,
    server: str,
    file: Path | None,
    log: Path | None,
) -> None:
    """Workers under all faults at once; exit code 1 if anything was violated."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    soak = Soak(60 * minutes, processes, callers, seed, server, log)
    evidence = asyncio.run(soak.run())
    sys.exit(show(report(evidence, judge(evidence)), file))


def show(found: Report, file: Path | None) -> int:
    """Print it; returns the exit code."""
    console = Console(width=120, highlight=False)
    console.print(found.table())
    for violation in found.violations:
        console.print(f"VIOLATED {violation}", markup=False, soft_wrap=True)
    if file is not None:
        file.write_text(json.dumps(found.as_json(), indent=2, default=str) + "\n")
    return 0 if found.ok else 1


if __name__ == "__main__":
    main()
