"""How a benchmark shows itself while it runs."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from loco_redis.cli._canvas import canvas_for
from loco_redis.cli.bench._progress import (
    HostStanding,
    Progress,
    Standing,
    frame,
    line,
    progress_for,
)
from tests.cli.bench.drawing import drawn


def standing(hosts: int = 3, **other: object) -> Standing:
    rows = tuple(
        HostStanding(f"node-{n}", "measuring", 12_345 * n, 612.3 - n, 0.4)
        for n in range(1, hosts + 1)
    )
    made = Standing(
        phase="measuring",
        run=2,
        runs=3,
        elapsed=23.4,
        total=65.0,
        hosts=rows,
        grants_per_second=1834.0,
        holding=14,
        waiting=1084,
        capacity=16,
    )
    return replace(made, **other)  # type: ignore[arg-type]  # of its fields


def quiet(now: Standing, name: str, silent: float = 12.5) -> Standing:
    hosts = (replace(host, silent=silent) if host.name == name else host for host in now.hosts)
    return replace(now, hosts=tuple(hosts))


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _on(as_json: bool = False, terminal: bool = False) -> tuple[Progress, _Clock, io.StringIO]:
    file, clock = io.StringIO(), _Clock()
    console = Console(file=file, width=80, height=24, force_terminal=terminal, color_system=None)
    return Progress(canvas_for(console, as_json), clock), clock, file


def test_the_picture() -> None:
    """How far it is, how fast, who holds and waits, and every host."""
    lines = drawn(frame(quiet(standing(), "node-2"), 24))
    assert lines[0].startswith("run 2 of 3: measuring  ━━━━━━━━━━")
    assert lines[0].endswith("  23 of 65 s")
    assert lines[1] == "1,834 grants/s  ██████████████░░ 14 of 16 held, 1,084 waiting"
    rows = [" ".join(row.split()) for row in lines]
    assert rows[2] == "host phase grants grants/s silent for"
    assert rows[4:] == [
        "node-1 measuring 12,345 611 -",
        "node-2 measuring 24,690 610 12s",
        "node-3 measuring 37,035 609 -",
    ]


@pytest.mark.parametrize("height", [3, 6, 10, 24])
@pytest.mark.parametrize("hosts", [0, 1, 40])
def test_the_picture_fits(height: int, hosts: int) -> None:
    """Where there is no room for all hosts, the silent ones are seen."""
    lines = drawn(frame(quiet(standing(hosts), f"node-{hosts}"), height))
    assert len(lines) <= height
    assert all(len(each) <= 80 for each in lines)
    if hosts and height > 5:
        assert any(each.startswith(f"node-{hosts} ") for each in lines)
    if hosts == 40 and height > 5:
        assert f"+{40 - (height - 5)} more hosts" in lines


def test_before_the_first_run() -> None:
    """There is no run yet, and nobody knows how long it takes until the hosts have come."""
    now = standing(0, phase="gathering", run=0, elapsed=3.0, total=0.0, holding=0, capacity=0)
    lines = drawn(frame(now, 24))
    assert lines[0].startswith("gathering  ")
    assert lines[0].endswith("  3 s")


def test_one_line() -> None:
    assert line(quiet(standing(), "node-3")).plain == (
        "run 2 of 3: measuring, 23 of 65 s, 3 hosts, 1,834 grants/s, 14 of 16 held,"
        " 1,084 waiting, node-3 silent for 12s"
    )


def test_a_pipe_gets_a_line_every_five_seconds() -> None:
    """And one at each new phase or run; notes at once."""
    progress, clock, file = _on()
    with progress:
        for tick in range(24):  # twice a second
            clock.now = 1000.0 + tick / 2
            progress.show(standing(elapsed=tick / 2))
        progress.show(standing(phase="draining"))
        progress.note("node-1: worker 2 was killed")
        progress.show(standing(phase="draining"))
        progress.show(standing(phase="draining", run=3))
    lines = file.getvalue().splitlines()
    assert [each.split(", ")[1] for each in lines[:3]] == ["0 of 65 s", "5 of 65 s", "10 of 65 s"]
    assert lines[3].startswith("run 2 of 3: draining")
    assert lines[4] == "node-1: worker 2 was killed"
    assert lines[5].startswith("run 3 of 3: draining")
    assert len(lines) == 6


def test_json_is_silent() -> None:
    progress, _, file = _on(as_json=True, terminal=True)
    with progress:
        progress.show(standing())
        progress.note("node-1: worker 2 was killed")
    assert file.getvalue() == ""


def test_a_terminal_has_a_live_picture() -> None:
    """It goes away at the end, also after an error; the cursor is back and notes stay."""
    progress, _, file = _on(terminal=True)

    def work() -> None:
        with progress:
            progress.show(standing())
            progress.note("node-1: [red]killed\x1b[2J")
            progress.show(quiet(standing(), "node-1"))
            assert "\x1b[?25l" in file.getvalue()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    got = file.getvalue()
    assert "run 2 of 3: measuring" in got
    assert "node-1: [red]killed\\x1b[2J" in got
    assert got.rfind("\x1b[?25h") > got.rfind("\x1b[?25l")


def test_it_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """stdout belongs to the report."""
    with progress_for(as_json=False) as progress:
        progress.show(standing())
    out, err = capsys.readouterr()
    assert out == ""
    assert "1,834 grants/s" in err
