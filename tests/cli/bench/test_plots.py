"""The plots are drawn; what they look like is for eyes."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis.cli.bench import _plots as plots
from loco_redis.cli.bench._figures import BenchReport, ClassFigures, Spans
from loco_redis.cli.bench._plot_style import apart, nines
from tests.cli.bench.reports import empty_report, good_report, no_spans, spans

pytest.importorskip("matplotlib", reason="plots need the `bench` extra: matplotlib")

_NAMES = ["waits", "handoff", "timeline", "hosts"]


def _size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def test_all_are_drawn(tmp_path: Path) -> None:
    """As PNG as wide as a README, with something on them."""
    made = plots.draw(good_report(), tmp_path)
    assert made == {name: f"{name}.png" for name in _NAMES}
    for name in made.values():
        assert _size(tmp_path / name)[0] == 1080
        assert _size(tmp_path / name)[1] >= 250
        assert (tmp_path / name).stat().st_size > 8_000


def test_nothing_measured_draws_nothing(tmp_path: Path) -> None:
    assert plots.draw(empty_report(), tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    """No hand-offs, no timeline: two plots."""
    report = good_report(runs=1)
    run = replace(report.runs[0], handoff=no_spans(), timeline=())
    assert list(plots.draw(replace(report, runs=(run,)), tmp_path)) == ["waits", "hosts"]


def _odd_reports() -> dict[str, BenchReport]:
    report = good_report()
    alike = tuple(
        ClassFigures(f"class-{n}", 3, 900, 0, spans(0.001 * (1 + n * 0.02), 1.5, 900))
        for n in range(9)
    )
    at_once = Spans(1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ((50.0, 0.0), (100.0, 0.0)))
    only = (ClassFigures("$x_1^", 1, 1, 0, at_once),)
    return {
        "many alike": replace(report, runs=tuple(replace(r, classes=alike) for r in report.runs)),
        "no wait": replace(report, runs=(replace(report.runs[0], classes=only),)),
        "many hosts": good_report(hosts=tuple(f"host-{n}" for n in range(64))),
    }


@pytest.mark.parametrize("name", ["many alike", "no wait", "many hosts"])
@pytest.mark.filterwarnings("error")
def test_odd_reports_are_drawn(name: str, tmp_path: Path) -> None:
    """Nine classes with the same waits, one that never waited, too many hosts."""
    assert list(plots.draw(_odd_reports()[name], tmp_path)) == _NAMES
    assert all(_size(path)[1] < 2400 for path in tmp_path.iterdir())


@pytest.mark.parametrize("plot", [plots.waits, plots.handoff, plots.timeline, plots.hosts])
def test_every_axis_says_what_it_is(plot: Callable[[BenchReport], object]) -> None:
    """What is measured and its unit; of the upper plot of two the lower one says what is across."""
    figure = plot(good_report())
    for axes in figure.axes:  # type: ignore[attr-defined]  # a Figure
        labels = {axes.get_xlabel(), axes.get_ylabel()} - {""}
        assert labels <= {
            "percentile", "wait, ms (log scale)", "hand-off, ms (log scale)", "requests/s",
            "seconds since the measured time began", "slot time used, %",
            "grants", "cores kept busy by workers",
        }  # fmt: skip
        assert labels


def test_all_runs_are_drawn_one_of_them_strongly() -> None:
    """The median one, on top of the others."""
    figure = plots.waits(good_report(runs=3))
    assert figure is not None
    curves = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 1]  # type: ignore[arg-type]
    assert [line.get_linewidth() for line in curves] == [1.0] * 6 + [2.0] * 3
    figure = plots.timeline(good_report(runs=3))
    assert figure is not None
    assert [len(axes.get_lines()) for axes in figure.axes] == [6, 3]


def test_pyplot_is_left_alone(tmp_path: Path) -> None:
    """A process that has plots of its own keeps its backend, its figures and its style."""
    code = (
        "import sys, matplotlib; from pathlib import Path; before = matplotlib.rcParams.copy();"
        "from loco_redis.cli.bench._plots import draw; from tests.cli.bench.reports import *;"
        f"assert len(draw(good_report(), Path({str(tmp_path)!r}))) == 4;"
        "assert 'matplotlib.pyplot' not in sys.modules;"
        "assert matplotlib.rcParams.copy() == before"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=root, timeout=60)


def test_matplotlib_is_not_imported_with_the_command() -> None:
    code = (
        "import sys, loco_redis.cli.bench._write, loco_redis.cli.bench._view;"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_nines() -> None:
    """Each nine is one step; the longest of a sample is as far as its size goes."""
    assert [nines(p, 10**6) for p in (0, 90, 99, 99.9)] == pytest.approx([0, 1, 2, 3])
    assert nines(100, 1000) == pytest.approx(3)
    assert nines(99.99, 1000) == pytest.approx(3)


@given(st.lists(st.floats(0, 1), max_size=15))
def test_labels_do_not_lie_on_each_other(places: list[float]) -> None:
    """They stay in order and inside; those that are far enough apart stay where they are."""
    moved = apart(sorted(places))
    assert all(later - earlier > 0.04 for earlier, later in pairwise(moved))
    assert all(0 <= place <= 1 for place in moved)


def test_labels_with_room_stay() -> None:
    assert apart([0.1, 0.5, 0.9]) == [0.1, 0.5, 0.9]


def test_percentiles_that_a_small_sample_has_not_are_not_named() -> None:
    """Of 200 hand-offs the p99.9 is the longest, which has its name already."""
    report = good_report(runs=1)
    for count, named in ((200, ["p50", "p99"]), (20_000, ["p50", "p99", "p99.9"])):
        run = replace(report.runs[0], handoff=spans(0.0004, 1.1, count))
        figure = plots.handoff(replace(report, runs=(run,)))
        assert figure is not None
        texts = [text.get_text().split()[0] for text in figure.axes[0].texts if text.get_text()]
        assert [text for text in texts if text.startswith("p")] == named
