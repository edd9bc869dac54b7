"""How the demo looks: drawn from values alone, so every line is known."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console, RenderableType

from loco_redis.cli.play import _demo_view as view
from loco_redis.cli.play._demo_story import Story
from loco_redis.snapshots import AgentSnapshot
from tests.cli.play.stories import TASK, good_story, granted, holder, snapshot


def drawn(what: RenderableType, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_decision_is_one_line() -> None:
    """It says when, which slot, to whom, where and why."""
    story = good_story()
    assert [drawn(view.decision_line(d, story.started))[0] for d in story.decisions] == [
        "  0.00 s  slot 0 -> chat       worker-1  score 0.75  weight 2.0  waited  0.5 s,  3 ticks",
        "  0.10 s  slot 1 -> batch-2.1  worker-2  score 0.75  weight 2.0  waited  0.5 s,  3 ticks"
        "  durable",
        "  3.10 s  slot 1 -> batch-2.1  worker-1  score 0.75  weight 2.0  waited  0.5 s,  3 ticks"
        "  attempt 2",
    ]


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR set a terminal gets bold and dim text, but no colour."""
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=120)
    story = good_story()
    console.print(view.decision_line(story.decisions[2], story.started))
    assert isinstance(console.file, io.StringIO)
    assert not re.search(r"\x1b\[[\d;]*(3[0-7]|9[0-7]|38)[;m]", console.file.getvalue())


def test_the_kill_and_the_reclaim() -> None:
    """The two lines that the demo is about."""
    story = good_story()
    assert story.kill is not None
    assert drawn(view.kill_line(story.kill, story)) == [
        "  1.00 s  SIGKILL worker-2 while it holds slot 1 (batch-2.1)"
    ]
    assert drawn(view.reclaim_line(story)) == [
        "  3.00 s  RECLAIMED 1 slot 2.00 s after the kill (bound 3.50 s)"
    ]


def test_the_slots_table_shows_the_dead() -> None:
    """A dead worker's slot is marked, a slot nobody holds is free."""
    made = view.slots_table(good_story(), snapshot(holder(1, 2, "s2", "batch", TASK)))
    assert drawn(made)[2:] == [
        "0      free",
        "1      batch   durable batch-2.1   worker-2 (dead)     0.25 s",
    ]


def test_the_agents_are_in_order_of_score() -> None:
    """The next to be served stands first; those who have nothing queued are shown, too."""
    agents = (
        AgentSnapshot("chat", "", False, 2.0, 4, 0.5, 1, 1, 0),
        AgentSnapshot("batch", "", False, 40.5, 8, 1.0, 9, 2, 1),
    )
    lines = drawn(view.scores_table(good_story(), snapshot(agents=agents)))[2:]
    assert [line.split()[0] for line in lines] == ["batch", "chat", "webhook", "analyst", "embed"]
    assert lines[0].split()[2:] == ["1.00", "40.5", "8", "9", "2", "1"]


@pytest.mark.parametrize("height", [5, 20, 24, 30, 60])
def test_a_frame_fits_its_terminal(height: int) -> None:
    """As many decisions are shown as there is room for, down to none."""
    story = good_story()
    for token in range(10, 60):
        story.hear("worker-1", granted(0, token, 110.0 + token))
    lines = drawn(view.frame(story, snapshot(), 110.0, 20.0, height))
    assert len(lines) <= max(height, 19)
    assert len([line for line in lines if "slot 0 ->" in line]) == max(0, height - 19)


def test_the_summary_of_a_good_run() -> None:
    """Every promise is listed with its figures, and is ok."""
    lines = drawn(view.summary(good_story(), 4.0))
    assert "3 grants in 4.0 s" in lines
    assert len([line for line in lines if line.startswith("ok ")]) == 5
    assert view.failures(good_story()) == []


def test_the_summary_of_a_bad_run() -> None:
    """A broken promise is marked, and worded in one line for stderr."""
    story = good_story()
    story.reclaimed_at = None
    assert any(
        line.startswith("FAILED") and "not within 3.5 s" in line
        for line in drawn(view.summary(story, 4.0))
    )
    assert view.failures(story) == ["slots of the killed worker came back: not within 3.5 s"]
    assert view.summary_json(story, 4.0)["ok"] is False


def test_a_summary_of_nothing() -> None:
    """A run that ended before the first grant can be shown."""
    story = Story(started=0.0, capacity=2, reclaim_bound=3.5, pids={})
    assert "0 grants in 0.0 s" in drawn(view.summary(story, 0.0))
