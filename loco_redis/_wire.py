"""What goes over the wire: packed calls of scripts, and what an error reply means."""

from __future__ import annotations

import re
from enum import Enum, auto
from types import NoneType
from typing import Any

from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from loco_redis._scripts import Argument, Command, Scripts, library
from loco_redis.errors import BackendError, BackendLibraryError, BackendVersionError

_MOST_HEADS = 100


class Framer:
    """Packs calls of scripts. What is the same in each call of one, up to the first two arguments
    (channel and session), is packed once."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._heads: dict[tuple[str, int, Argument], bytes] = {}

    def script(self, command: Command[Any]) -> bytes:
        script, args = command.script, command.args
        kind = (script, len(args), args[1])
        head = self._heads.get(kind)
        if head is None:
            head = self._head(script, args)
            if len(self._heads) > _MOST_HEADS:  # of sessions that have expired
                self._heads.clear()
            self._heads[kind] = head
        return head + b"".join(map(_bulk, args[2:]))

    def _head(self, script: str, args: tuple[Argument, ...]) -> bytes:
        keys = self._scripts.keys.all
        fixed = (*self._scripts.call(script), len(keys), *keys, *args[:2])
        total = len(fixed) + len(args[2:])
        return b"*%d\r\n%b" % (total, b"".join(map(_bulk, fixed)))


def pack(args: tuple[Argument, ...]) -> bytes:
    """A command in the protocol's form."""
    return b"*%d\r\n%b" % (len(args), b"".join(map(_bulk, args)))


def _bulk(value: Argument) -> bytes:
    if isinstance(value, str):
        value = value.encode(errors="replace")  # of what was checked; an error here would end all
    elif isinstance(value, int):
        value = b"%d" % value
    return b"$%d\r\n%b\r\n" % (len(value), value)


# What plain commands are answered by; RESP3 has maps.
_FORMS: dict[Argument, tuple[type, ...]] = {
    "INFO": (bytes,),
    "TIME": (list,),
    "EXISTS": (list,),  # of SCRIPT
    "HGET": (bytes, NoneType),
    "HMGET": (list,),
    "HGETALL": (list, dict),
    "HSCAN": (list,),
    "LRANGE": (list,),
}


def as_answered_by(command: tuple[Argument, ...], raw: Any) -> Any:
    """The reply itself; TypeError when a command that begins like that is answered otherwise."""
    for word in command:
        if word in _FORMS and not isinstance(raw, _FORMS[word]):
            raise TypeError(f"{command[0]!r} is not answered by a {type(raw).__name__}")
    return raw


class Diagnosis(Enum):
    """What an error reply means for the command."""

    NO_SCRIPT = auto()  # load it, send again
    NO_LIBRARY = auto()  # an administrator must load it; nothing was written
    LATER = auto()  # not now or not here: reconnect, send again
    MEMORY = auto()  # the server is full; nothing was written
    FATAL = auto()


# A script's error carries its code in the middle of the text on servers before 7.0.
_LATER = re.compile(
    r"\b(READONLY|LOADING|BUSY|MOVED|ASK|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|NOREPLICAS|UNBLOCKED)\b"
)


# Of a server without our functions, and of one that has none at all.
_NO_LIBRARY = re.compile(r"^(ERR )?(Function not found|unknown command .(FCALL|FUNCTION))", re.I)

# MovedError is an AskError, MasterDownError a ClusterDownError.
_LATER_ERRORS = (ReadOnlyError, AskError, ClusterDownError, TryAgainError)


def diagnose(error: ResponseError) -> Diagnosis:
    if isinstance(error, NoScriptError):
        return Diagnosis.NO_SCRIPT
    if _NO_LIBRARY.search(str(error)):
        return Diagnosis.NO_LIBRARY
    if isinstance(error, OutOfMemoryError) or "OOM command not allowed" in str(error):
        return Diagnosis.MEMORY
    if isinstance(error, _LATER_ERRORS) or _LATER.search(str(error)):
        return Diagnosis.LATER
    return Diagnosis.FATAL


def library_error(where: str, error: ResponseError) -> BackendError:
    """What to tell of a NO_LIBRARY."""
    if "unknown" in str(error).lower():
        return BackendVersionError(where, "below 7.0", "7.0", "for functions")
    return BackendLibraryError(where, library().name)
