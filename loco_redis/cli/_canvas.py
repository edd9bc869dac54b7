"""Where a running command shows itself: a live picture on a terminal, lines elsewhere, nothing for
--json."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text


class Canvas:
    """Shows nothing at all.

    Attributes:
        is_silent: whether even notes go nowhere.
        is_live: whether pictures are seen.
    """

    is_silent = True
    is_live = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def note(self, line: Text) -> None:
        """Something that stays to be seen."""

    def draw(self, picture: Callable[[int], RenderableType]) -> None:
        """Put a picture, made for so many lines, in the place of the last one."""


class Lines(Canvas):
    """Notes only, for pipes, files and dumb terminals."""

    is_silent = False

    def __init__(self, console: Console) -> None:
        self._console = console

    def note(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)


class Picture(Lines):
    """A live picture, which goes away at the end; notes stay above it."""

    is_live = True

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        # On stderr it leaves stdout alone, which may go elsewhere.
        own = not console.stderr
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=own)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def draw(self, picture: Callable[[int], RenderableType]) -> None:
        self._live.update(picture(self._console.size.height), refresh=True)


def canvas_for(console: Console, as_json: bool) -> Canvas:
    if as_json:
        return Canvas()
    is_live = console.is_terminal and not console.is_dumb_terminal
    return Picture(console) if is_live else Lines(console)
