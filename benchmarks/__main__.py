"""`python -m benchmarks`: asks every question and prints the table; exits 1 if a must is missed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click
from rich.console import Console

from benchmarks import server, table
from benchmarks.figure import Figure

QUESTIONS = (
    "choice",
    "scan",
    "round_trips",
    "throughput",
    "handoff",
    "memory",
    "governance",
    "llm_calls",
)

README = Path(__file__).with_name("README.md")
START, END = "<!-- figures: start -->\n", "\n<!-- figures: end -->"


def ask(question: str) -> tuple[list[Figure], str]:
    """The figures of one question, measured on a fresh server, and that server's version."""
    run = import_module(f"benchmarks.{question}").run
    with server.running() as process:
        with server.connected(process) as client:
            version = server.version(client)
        return run(process), version


def with_figures(readme: str, figures: str) -> str:
    """The README with what is between its markers replaced."""
    head, _, rest = readme.partition(START)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError("the README has lost its markers")
    return f"{head}{START}{figures}{END}{tail}"


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice(QUESTIONS), help="Ask only this; repeatable."
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Write the figures here."
)
@click.option("--write-readme", is_flag=True, help="Put the table into benchmarks/README.md.")
def main(only: Sequence[str], json_path: Path | None, write_readme: bool) -> None:
    """How fast is it? A table of ratios, each against what it must reach."""
    if only and write_readme:
        raise click.UsageError("the README shows all questions: --write-readme without --only")
    progress = Console(stderr=True)
    figures: list[Figure] = []
    version = ""
    for question in only or QUESTIONS:
        began = time.perf_counter()
        with progress.status(f"{question} ..."):
            answers, version = ask(question)
        progress.print(f"{question}: {time.perf_counter() - began:.0f} s", highlight=False)
        figures += answers
    environment = table.Environment.here(version)
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table.rendered(figures, environment))
    if json_path is not None:
        json_path.write_text(json.dumps(table.data(figures, environment), indent=2) + "\n")
    if write_readme:
        shown = table.markdown(figures, environment)
        README.write_text(with_figures(README.read_text(), shown))
    sys.exit(0 if all(figure.ok for figure in figures) else 1)


if __name__ == "__main__":
    main()
