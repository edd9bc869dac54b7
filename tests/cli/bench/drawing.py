"""Renderables as the lines of a terminal."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType


def drawn(what: RenderableType, width: int = 80, colour: bool = False) -> list[str]:
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
    )
    console.print(what)
    return [line.rstrip() for line in file.getvalue().splitlines()]
