"""The table: for a terminal, as Markdown for the documents, as plain data for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.figure import Figure


@dataclass(frozen=True, slots=True)
class Environment:
    """What the figures were measured on."""

    server: str
    python: str
    redis_py: str
    machine: str

    @classmethod
    def here(cls, server: str) -> Environment:
        """This machine; `server` is name and version of what was measured."""
        return cls(
            server=server,
            python=platform.python_version(),
            redis_py=version("redis"),
            machine=f"{os.cpu_count()} x {_processor()}, {platform.system()} {platform.machine()}",
        )

    def __str__(self) -> str:
        return f"{self.server}, Python {self.python}, redis-py {self.redis_py}, {self.machine}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown processor"


def _verdict(figure: Figure) -> str:
    if figure.must is None:
        return ""
    return "ok" if figure.ok else "MISSED"


def rendered(title: str, figures: Sequence[Figure], environment: Environment) -> Table:
    """For a terminal."""
    table = Table(title=title, caption=str(environment), show_lines=True)
    table.add_column("question", ratio=5)
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("must reach", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("measured", ratio=4)
    for figure in figures:
        colour = "green" if figure.ok else "bold red"
        verdict = f"[{colour}]{_verdict(figure)}[/]" if figure.must else ""
        must = str(figure.must or "reported")
        table.add_row(figure.question, figure.text, must, verdict, figure.detail)
    return table


def markdown(figures: Sequence[Figure], environment: Environment) -> str:
    """For a page of the documents."""
    lines = [
        f"{environment}.",
        "",
        "| question | figure | must reach | | measured |",
        "|---|---|---|---|---|",
    ]
    for figure in figures:
        must, verdict = str(figure.must or "reported"), _verdict(figure)
        cells = (figure.question, figure.text, must, verdict, figure.detail)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def data(figures: Sequence[Figure], environment: Environment) -> dict[str, Any]:
    """For machines."""
    return {
        "environment": asdict(environment),
        "figures": [{**asdict(figure), "ok": figure.ok} for figure in figures],
    }
