"""The only place where a key name is spelled.

All keys of a scheduler carry its name as hash tag, so they share one cluster slot; what each holds
is said in ``lua/README.md``.
"""

from __future__ import annotations

SUFFIXES = (
    "vars",
    "sessions",
    "deadlines",
    "requests",
    "owned",
    "tombstones",
    "tasks",
    "bodies",
    "queue",
    "loads",
    "agents",
    "depth",
    "ready",
    "parked",
    "index",
    "buckets",
    "slots",
    "holders",
    "dead",
    "costs",
    "unsettled",
    "rules",
    "accounts",
    "tallies",
    "alerts",
)


class Keys:
    """The key names of the scheduler ``name``."""

    __slots__ = (
        "accounts",
        "agents",
        "alerts",
        "all",
        "bodies",
        "channel",
        "costs",
        "name",
        "rules",
        "tallies",
        "vars",
    )

    def __init__(self, name: str) -> None:
        prefix = f"loco:{{{name}}}:"
        self.name = name
        self.all = tuple((prefix + suffix).encode() for suffix in SUFFIXES)
        self.agents = (prefix + "agents").encode()
        self.bodies = (prefix + "bodies").encode()
        self.costs = (prefix + "costs").encode()
        self.rules = (prefix + "rules").encode()
        self.accounts = (prefix + "accounts").encode()
        self.tallies = (prefix + "tallies").encode()
        self.alerts = (prefix + "alerts").encode()
        self.vars = (prefix + "vars").encode()
        #: Prefix of the hint channels; a session listens to ``channel + session``.
        self.channel = (prefix + "hint:").encode()

    def __repr__(self) -> str:
        return f"Keys({self.name!r})"
