"""How the demo shows itself: a live table on a terminal, a line for each decision elsewhere."""

from __future__ import annotations

import time
from functools import partial
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.text import Text

from loco_redis.cli._canvas import Canvas, canvas_for
from loco_redis.cli.play import _demo_view as view
from loco_redis.cli.play._demo_story import Decision, Story
from loco_redis.snapshots import Snapshot


class Screen:
    """What happens in the demo, on a canvas; used inside a `with`."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas

    def __enter__(self) -> Self:
        self._canvas.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._canvas.__exit__(exc_type, exc, traceback)

    def decided(self, decision: Decision, story: Story) -> None:
        """A line that stays; the live table shows a first attempt by itself."""
        if not self._canvas.is_live or decision.attempt > 1:
            self.note(view.decision_line(decision, story.started))

    def note(self, line: Text) -> None:
        self._canvas.note(line)

    def show(self, story: Story, snapshot: Snapshot, seconds: float) -> None:
        self._canvas.draw(partial(_frame, story, snapshot, seconds))


def _frame(story: Story, snapshot: Snapshot, seconds: float, height: int) -> RenderableType:
    return view.frame(story, snapshot, time.monotonic(), seconds, height)


def screen_for(console: Console, as_json: bool) -> Screen:
    return Screen(canvas_for(console, as_json))
