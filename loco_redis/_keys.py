"""The only place where a key name is spelled.

All keys of a scheduler carry its name as hash tag, or that of its group, so they share one cluster
slot; what each holds is said in ``lua/README.md``.
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
    "events",
    "idle",
    "later",
    "timers",
    "orders",
)

#: The names of all schedulers in the server: the only key that is nobody's own.
REGISTRY = b"loco:resources"


class Keys:
    """The key names of the scheduler ``name``; of one in a group it is ``group/name``."""

    accounts: bytes
    agents: bytes
    alerts: bytes
    bodies: bytes
    costs: bytes
    events: bytes
    holders: bytes
    later: bytes
    loads: bytes
    orders: bytes
    requests: bytes
    rules: bytes
    sessions: bytes
    tallies: bytes
    tasks: bytes
    vars: bytes

    def __init__(self, name: str) -> None:
        group, slash, own = name.partition("/")
        # A group's resources share the cluster slot of the group's name.
        prefix = f"loco:{{{group}}}:{own}:" if slash else f"loco:{{{name}}}:"
        self.name = name
        self.all = tuple((prefix + suffix).encode() for suffix in SUFFIXES)
        for suffix, key in zip(SUFFIXES, self.all, strict=True):
            setattr(self, suffix, key)
        #: Prefix of the hint channels; a session listens to ``channel + session``.
        self.channel = (prefix + "hint:").encode()

    def __repr__(self) -> str:
        return f"Keys({self.name!r})"
