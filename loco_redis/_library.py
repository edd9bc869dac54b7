"""The scripts as one library of Redis Functions, for users who may not run scripts of their own.

An administrator loads it once (`loco-redis functions load`); workers call its functions by FCALL.
Its name ends in a hash of all scripts, so that libraries of several versions can be loaded at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: How scripts are run: sent by the client (EVALSHA), or called in a library (FCALL).
Way = Literal["eval", "functions"]
WAYS: tuple[Way, ...] = ("eval", "functions")

PREFIX = "loco_redis_"
#: For this Redis' users of functions; Valkey has always had them.
OLDEST_SERVER = (7, 0)

#: They write nothing: FCALL_RO runs them, for users who may only look, too.
READING = ("poll", "agent", "snapshot", "check", "standing", "rights", "dump", "plan_status")
#: They work on a full server (lua/README.md, rule 5). There a function without `allow-oom` is
#: refused as a whole, before its first line; so of all others nothing is ever written.
WHEN_FULL = (
    "heartbeat",
    "release",
    "complete",
    "result",
    "settle",
    "cancel",
    "evict",
    "close",
    "reap",
    "scatter",
    "report",
)

_DIGITS = 10


@dataclass(frozen=True)
class Library:
    """What FUNCTION LOAD takes.

    Attributes:
        version: a hash of all of it.
    """

    version: str
    text: str

    @classmethod
    def of(cls, scripts: Mapping[str, str]) -> Library:
        """Of the text of each verb.

        Three flags are left out: `allow-stale`, for a replica that is cut off knows nothing of the
        present; `no-cluster`; and `allow-cross-slot-keys`, for all keys of a call share a slot.
        """
        parts = [_function(verb, text) for verb, text in scripts.items()]
        digest = hashlib.sha256("".join(parts).encode()).hexdigest()[:_DIGITS]
        body = "".join(part.replace(_VERSION, digest, 1) for part in parts)
        return cls(digest, f"#!lua name={PREFIX}{digest}\n{body}")

    @property
    def name(self) -> str:
        return PREFIX + self.version

    def function(self, verb: str) -> str:
        """The name of a verb's function; all names in a server are distinct."""
        return _name(verb).replace(_VERSION, self.version)

    def call(self, verb: str) -> tuple[str, str]:
        """The Redis command that runs a verb, and its first argument."""
        return "FCALL_RO" if verb in READING else "FCALL", self.function(verb)


_VERSION = "<version>"


def _name(verb: str) -> str:
    return f"loco_{verb}_{_VERSION}"


def _function(verb: str, text: str) -> str:
    flags = "'no-writes'" if verb in READING else "'allow-oom'" if verb in WHEN_FULL else ""
    # The script itself is the body: it makes its local functions anew at each call, as EVAL does.
    return (
        f"redis.register_function{{ function_name = '{_name(verb)}', flags = {{ {flags} }}, "
        f"callback = function(KEYS, ARGV)\n{text}end }}\n"
    )
