"""Texts that somebody else chose, fit for a terminal and for one line of a log."""

from __future__ import annotations


def shown(text: str) -> str:
    """Whatever is not printable is spelled out, such as `\\x1b`: control characters, line ends,
    bidirectional overrides, invisible characters. So an agent's name cannot move the cursor, set a
    colour, or pose as another line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
