"""Where the demo shows itself: a live table on a terminal, lines elsewhere, nothing for --json."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from loco_redis.cli.play import _demo_view as view
from loco_redis.cli.play._demo_story import Decision, Story
from loco_redis.snapshots import Snapshot


class Lines:
    """One line a decision, for pipes, files and dumb terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def decided(self, decision: Decision, story: Story) -> None:
        self.note(view.decision_line(decision, story.started))

    def note(self, line: Text) -> None:
        """Something that stays to be seen."""
        self._console.print(line, soft_wrap=True)

    def show(self, story: Story, snapshot: Snapshot, seconds: float) -> None:
        pass


class Silent(Lines):
    """Nothing at all."""

    def note(self, line: Text) -> None:
        pass


class Screen(Lines):
    """A live table, which goes away at the end; notes stay above it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, auto_refresh=False, transient=True)

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

    def decided(self, decision: Decision, story: Story) -> None:
        if decision.attempt > 1:
            super().decided(decision, story)

    def show(self, story: Story, snapshot: Snapshot, seconds: float) -> None:
        height = self._console.size.height
        frame = view.frame(story, snapshot, time.monotonic(), seconds, height)
        self._live.update(frame, refresh=True)


def screen_for(console: Console, as_json: bool) -> Lines:
    if as_json:
        return Silent(console)
    is_live = console.is_terminal and not console.is_dumb_terminal
    return Screen(console) if is_live else Lines(console)
