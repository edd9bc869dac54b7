"""Numbers of a benchmark as text: the same in the terminal, the Markdown report and the plots."""

from __future__ import annotations

NOTHING = "-"


def number(value: float) -> str:
    """With about three digits, and never less than all of those before the point."""
    size = abs(value)
    if size >= 100 or value == 0:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def share(value: float) -> str:
    return f"{value * 100:.1f}"


def ms(seconds: float) -> str:
    return number(seconds * 1000)


def span(seconds: float) -> str:
    """As options are given and read: 20ms, 0.5ms, 1s, 1.5s, 60s."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.12g}ms"
    return f"{seconds:.12g}s"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def measured(value: float, unit: str) -> tuple[str, str]:
    """A figure and its unit as they are shown: "s" in milliseconds, "share" in percent, any other
    unit as it is."""
    if unit == "s":
        return ms(value), "ms"
    if unit == "share":
        return share(value), "%"
    return number(value), unit
