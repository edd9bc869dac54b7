"""The command of a set of questions: ask them, print the table, and keep it for the documents."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import click
from rich.console import Console

from benchmarks import server, table
from benchmarks.figure import Figure

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"


def ask(package: str, question: str) -> tuple[list[Figure], str]:
    """The figures of one question, measured on a fresh server, and that server's version."""
    run = import_module(f"{package}.{question}").run
    with server.running() as process:
        with server.connected(process) as client:
            version = server.version(client)
        return run(process), version


def with_figures(page: str, section: str, figures: str) -> str:
    """A page with what is between a section's markers replaced."""
    start, end = f"<!-- {section}: start -->\n", f"\n<!-- {section}: end -->"
    head, found, rest = page.partition(start)
    _, ended, tail = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"the page has lost the markers of {section}")
    return f"{head}{start}{figures}{end}{tail}"


def command(title: str, package: str, section: str, questions: Sequence[str]) -> Callable[[], None]:
    """A command that asks `questions`, each the module `package.<question>`, whose `run(process)`
    measures on the server that it is given; exit status 1 says that a must was missed.

    Args:
        title: above the table.
        section: of docs/benchmarks.md, which `--write` puts the table into; the figures are kept
            in docs/figures/<section>.json, from which the plots are drawn.
    """

    @click.command(help=f"{title}: a table of figures, each against what it must reach.")
    @click.option(
        "--only", multiple=True, type=click.Choice(questions), help="Ask only this; repeatable."
    )
    @click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here.")
    @click.option("--write", is_flag=True, help="Put the table into docs/benchmarks.md.")
    def main(only: Sequence[str], path: Path | None, write: bool) -> None:
        if only and write:
            raise click.UsageError("the page shows all questions: --write without --only")
        progress = Console(stderr=True)
        figures: list[Figure] = []
        version = ""
        for question in only or questions:
            began = time.perf_counter()
            with progress.status(f"{question} ..."):
                answers, version = ask(package, question)
            progress.print(f"{question}: {time.perf_counter() - began:.0f} s", highlight=False)
            figures += answers
        environment = table.Environment.here(version)
        console = Console()
        if not console.is_terminal:
            console.width = 160
        console.print(table.rendered(title, figures, environment))
        kept = json.dumps(table.data(figures, environment), indent=2) + "\n"
        if path is not None:
            path.write_text(kept)
        if write:
            shown = table.markdown(figures, environment)
            PAGE.write_text(with_figures(PAGE.read_text(), section, shown))
            (DOCS / "figures").mkdir(exist_ok=True)
            (DOCS / "figures" / f"{section}.json").write_text(kept)
        sys.exit(0 if all(figure.ok for figure in figures) else 1)

    return main
