"""How `top` looks, without a terminal: every line fits, what matters most comes first."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from loco_redis.cli._rows import HolderRow
from loco_redis.cli.look._listing import middle
from loco_redis.cli.look._top_report import TopAgent, TopReport
from loco_redis.cli.look._top_view import Size, State, frame

_WIDE = Size(100, 40)


def _agent(name: str, **numbers: float) -> TopAgent:
    row = {"score": 0.5, "queue_depth_weighted": 12.5, "dmax": 7, "queued": 3, "waiting": 2}
    return TopAgent(agent_id=name, **{**row, "holding": 1, **numbers})  # type: ignore[arg-type]


def _holder(slot: int, agent: str, host: str = "node-17", pid: int = 4711) -> HolderRow:
    return HolderRow(slot, agent, host, pid, 12.4, 2.0, 0.83, 5, 99, "s:1", None, 1)


def _report(agents: int = 3, holders: int = 2, name: str = "agent") -> TopReport:
    return TopReport(
        resource="llm_api",
        server="redis://10.0.0.5:6379/0",
        server_time=1_700_000_000.0,
        capacity=16,
        effective_capacity=16,
        held=holders,
        waiting=24,
        serving=3,
        max_waiters=500,
        alpha=0.25,
        tick=18_223,
        granted=18_300,
        grants_per_second=12.34,
        oldest_wait=185.0,
        oldest_waiter="batch",
        paused=False,
        paused_for=0.0,
        rate_wait=0.0,
        competing=agents,
        live_sessions=4,
        complete=True,
        agents_total=agents,
        agents=[_agent(f"{name}-{number}") for number in range(agents)],
        holders=[_holder(number, f"{name}-{number}") for number in range(holders)],
    )


def _state(report: TopReport | None = None, sort: str = "score", **facts: object) -> State:
    return State(report or _report(), sort, **{"interval": 1.0, **facts})  # type: ignore[arg-type]


def _drawn(state: State, size: Size = _WIDE, colour: bool = False) -> list[str]:
    out = StringIO()
    console = Console(
        file=out,
        width=size.columns,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
    )
    made = frame(state, size)
    console.print(made)
    lines = out.getvalue().splitlines()
    assert len(lines) == len(made.renderables)  # nothing was wrapped
    return lines


def test_a_wide_picture_shows_everything() -> None:
    """The numbers above, then the agents, then the slots."""
    lines = _drawn(_state())
    assert lines[0].startswith("llm_api  redis://10.0.0.5:6379/0 ")
    assert lines[0].endswith(":20  every 1s  ? for keys")
    text = "\n".join(lines)
    for words in (
        "slots ██░░░░░░░░░░░░░░░░░░ 2/16",
        "waiting 24 of 500",
        "oldest 3m05s batch",
        "12.3 grants/s",
        "alpha 0.25",
        "tick 18,223",
        "3 agents competing",
        "4 sessions",
        "3 idle in serve()",
        "granting",
    ):
        assert words in text
    assert "agent    score↓     Q  D  queued  waiting  holding" in lines
    assert "agent-0   0.500  12.5  7       3        2        1" in lines
    assert "slot  agent    process       for  weight  score  waited" in lines
    assert "   1  agent-1  node-17:4711  12s       2  0.830       5" in lines


@pytest.mark.parametrize(
    ("columns", "of_agents", "of_slots"),
    [
        (100, "score↓ Q D queued waiting holding", "process for weight score waited"),
        (60, "score↓ Q D waiting holding", "process for weight"),
        (40, "score↓ waiting holding", "for"),
    ],
)
def test_less_important_columns_give_way(columns: int, of_agents: str, of_slots: str) -> None:
    """Long names and many digits are what takes the room."""
    report = _report(name="acme-corporation/nightly-summaries")
    deep = [replace(row, queue_depth_weighted=1_234_567.5) for row in report.agents]
    hosts = [replace(row, host="worker-7f9c-eu-central-1.internal") for row in report.holders]
    lines = _drawn(_state(replace(report, agents=deep, holders=hosts)), Size(columns, 24))
    headings = [" ".join(line.split()) for line in lines]
    assert f"agent {of_agents}" in headings
    assert f"slot agent {of_slots}" in headings


def test_long_names_are_cut_in_the_middle() -> None:
    """Names of one tenant differ at their end."""
    lines = _drawn(_state(_report(name="acme-corporation/nightly-summaries")), Size(60, 24))
    (cut,) = [line for line in lines if line.endswith("1") and "…" in line and "-2 " in line]
    assert cut.startswith("acme-c")


@pytest.mark.parametrize("size", [Size(*pair) for pair in product((40, 60, 80, 133), (10, 16, 24))])
def test_many_rows_are_cut_to_the_terminal(size: Size) -> None:
    """Both lists keep some rows, and the cut says how many more there are."""
    lines = _drawn(_state(_report(agents=300, holders=90), has_help=True), size)
    assert size.lines is not None
    assert len(lines) <= size.lines
    agents = sum(line.startswith("agent-") for line in lines)
    slots = sum("  agent-" in line for line in lines)
    assert agents >= 1
    assert f"+{300 - agents} more" in lines
    assert f"+{90 - slots} more" in lines


def test_slots_take_the_lines_that_agents_leave() -> None:
    lines = _drawn(_state(_report(agents=1, holders=30)), Size(100, 24))
    assert sum("node-17" in line for line in lines) == 14
    assert len(lines) == 24


def test_a_single_picture_has_all_rows() -> None:
    """It ends nowhere, so nothing is cut but by --limit; it names no keys."""
    report = replace(_report(agents=70, holders=3), agents_total=80)
    lines = _drawn(State(report, "score"), Size(120, None))
    assert sum(line.startswith("agent-") for line in lines) == 70
    assert "+10 more" in lines
    assert lines[0].endswith(":20")


def test_nothing_to_show() -> None:
    """An idle resource says so; without slots there is no bar."""
    report = replace(
        _report(0, 0), capacity=0, effective_capacity=0, oldest_wait=None, waiting=0,
        max_waiters=None, grants_per_second=None,
    )  # fmt: skip
    text = "\n".join(_drawn(_state(report)))
    assert "no agent competes or holds a slot" in text
    assert "nobody holds a slot" in text
    assert "0/0" in text
    assert "oldest" not in text
    assert "- grants/s" in text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"paused": True, "effective_capacity": 0}, "PAUSED: nothing is granted until"),
        ({"paused_for": 12.0}, "THROTTLED: no grant for 12s"),
        ({"rate_wait": 0.5}, "at its rate: next grant in 0.50s"),
        ({"effective_capacity": 8}, "2/16 (8 allowed)"),
        ({"complete": False, "agents_total": 900}, " more: only the 200 deepest were read"),
    ],
)
@pytest.mark.parametrize("size", [Size(100, 30), Size(60, 10)])
def test_what_keeps_grants_back_is_said(facts: dict[str, float], words: str, size: Size) -> None:
    """At any height; a pause by an operator is no shortage of capacity."""
    lines = _drawn(_state(replace(_report(), **facts)), size)
    assert any(words in line for line in lines)
    assert not facts.get("paused") or not any("allowed" in line for line in lines)


@pytest.mark.parametrize("size", [Size(100, 30), Size(40, 10)])
def test_trouble_is_red(size: Size) -> None:
    """The age of the picture comes first, then why there is no newer one."""
    trouble = "no Redis at redis://10.0.0.5:6379/0: connection refused"
    lines = _drawn(_state(trouble=trouble, age=75.0), size, colour=True)
    (line,) = [line for line in lines if "as it was 1m15s ago: no Redis" in line]
    assert line.startswith("\x1b[1;31m")
    assert any("agent-0" in line for line in lines)


def test_a_late_answer_is_said() -> None:
    """But not while the display is paused, which it says itself."""
    late = _state(age=9.0)
    assert "as it was 9.00s ago: no answer yet" in _drawn(late)
    held = _drawn(replace(late, is_held=True))
    assert "granting" in held
    assert "display paused" in held[0]
    assert "granting" in _drawn(replace(late, interval=60.0))


def test_names_cannot_take_over_the_terminal() -> None:
    """Control characters are spelled out, markup is text."""
    report = _report(1, 1, name="[red]x\x1b[2J\n\u202e")
    text = "\n".join(_drawn(_state(report)))
    assert "[red]x\\x1b[2J\\n\\u202e-0" in text
    assert "\x1b" not in text


_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(_NAMES, min_size=1, max_size=12),
    columns=st.integers(1, 140),
    lines=st.integers(1, 50),
    big=st.sampled_from([0, 1, 10**9]),
    has_help=st.booleans(),
)
def test_any_picture_fits(
    names: list[str], columns: int, lines: int, big: int, has_help: bool
) -> None:
    """Whatever the names, the numbers and the size are."""
    report = replace(
        _report(),
        capacity=big,
        held=max(len(names), big),
        tick=big,
        oldest_waiter=names[0],
        agents=[_agent(name, queue_depth_weighted=big * 1e3, dmax=big) for name in names],
        holders=[_holder(slot, name, name, big) for slot, name in enumerate(names)],
        agents_total=len(names) + big,
    )
    for state in (_state(report, has_help=has_help), _state(report, trouble=names[0], age=big)):
        drawn = _drawn(state, Size(columns, lines))
        assert len(drawn) <= lines
        assert all(cell_len(line) <= columns for line in drawn)


@given(text=st.text(), width=st.integers(0, 40))
def test_middle_fits(text: str, width: int) -> None:
    """What fits is not touched; what does not keeps its beginning and its end."""
    cut = middle(text, width)
    assert cell_len(cut) <= width or cut == text == ""
    assert cell_len(text) > width or cut == text


def test_middle_keeps_both_ends() -> None:
    assert middle("abcdefghij", 7) == "abc…hij"
    assert middle("日本語日本語", 7) == "日…本語"
