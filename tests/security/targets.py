"""What bytes from outside may do to what reads them: a value, or what its caller catches."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

from loco_redis import Task
from loco_redis import _replies as replies
from loco_redis._inbox import Inbox
from loco_redis._rows import (
    AccountRow,
    IndexMember,
    LoadRow,
    QueueMember,
    SessionRow,
    TaskRow,
    TermsRow,
    UnsettledRow,
    request_row,
)
from loco_redis._scripts import VERBS, Scripts
from loco_redis.cli.play import _trace as traces
from loco_redis.config import Endpoint
from loco_redis.models import decode_body, encode_body
from loco_redis.observe import events

#: What the outbox takes for a reply of an unknown form, and what readers of rows take for data that
#: something else has overwritten.
UNKNOWN_FORM = (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError)
PASSWORD = "hunter2pass"


class Draw:
    """Values out of bytes; nothing is left after the last: then all are small."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, most: int) -> int:
        """0 to `most`, at most 255."""
        self._at += 1
        return self._data[self._at - 1] % (most + 1) if self._at <= len(self._data) else 0

    def some(self) -> bytes:
        size = self.number(32)
        self._at += size
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        return self._data[self._at :]

    def reply(self, depth: int = 3) -> Any:
        """What a parser of RESP may give."""
        match self.number(7 if depth else 4):
            case 0:
                return self.number(16)
            case 1:
                return None
            case 2:
                return int.from_bytes(self.some()[:8], "big", signed=True)
            case 3 | 4:
                return self.some()
            case 5:
                return b"|".join(b"%d" % self.number(255) for _ in range(self.number(13)))
            case _:
                return [self.reply(depth - 1) for _ in range(self.number(8))]


def url(data: bytes) -> None:
    """Parsed, or a ValueError of one line; the password is shown by neither."""
    text = data.decode(errors="surrogateescape")
    for asked in (text, f"redis://u:{PASSWORD}@{text}", f"redis://{text}:{PASSWORD}@host/0"):
        try:
            told = repr(Endpoint.parse(asked))
        except ValueError as error:
            told = str(error)
        assert PASSWORD not in told, asked


def hint(data: bytes) -> None:
    """Never raises."""
    told: list[object] = []
    inbox = Inbox(None, told.append, told.append, lambda: told.append(None))  # type: ignore[arg-type]
    for text in (data, b"wake|" + data, b"1|2|3|4|5|6|7|8|" + data):
        inbox._deliver(text)


def reply(data: bytes) -> None:
    """Of each script: a value of its type, or an exception that the outbox catches."""
    draw = Draw(data)
    scripts = Scripts("fuzz")
    verb = VERBS[draw.number(len(VERBS) - 1)]
    decode = DECODERS[verb](scripts)
    raw = [draw.number(16), *(draw.reply() for _ in range(draw.number(20)))]
    with contextlib.suppress(*UNKNOWN_FORM):
        decode(raw)


def _decoder(verb: str) -> Callable[[Scripts], Callable[[Any], Any]]:
    samples: dict[str, Any] = {"int": 1, "str": "a", "bytes": b"a", "bool": True}

    def decode(scripts: Scripts) -> Callable[[Any], Any]:
        method = getattr(scripts, verb)
        hints = {n: t for n, t in get_type_hints(method).items() if n != "return"}
        if verb == "several":
            step = scripts.release(session="s", floor=0, seen=0, sequence=1, token=1, charge=True)
            return method([step, step]).decode  # type: ignore[no-any-return]
        chosen = {n: samples.get(getattr(t, "__name__", ""), 1) for n, t in hints.items()}
        return method(**chosen).decode  # type: ignore[no-any-return]

    return decode


DECODERS = {verb: _decoder(verb) for verb in VERBS}


def row(data: bytes) -> None:
    """Rows of Redis, as the commands that look read them."""
    kinds = (LoadRow, QueueMember, IndexMember, SessionRow, TaskRow, TermsRow, AccountRow)
    for parse in (*(kind.parse for kind in (*kinds, UnsettledRow, replies.Grant)), request_row):
        with contextlib.suppress(*UNKNOWN_FORM):
            parse(data)


def event(data: bytes) -> None:
    """An entry of the decision log."""
    draw = Draw(data)
    fields = {draw.some(): draw.some() for _ in range(draw.number(6))}
    usual = {b"at": b"1", b"tick": b"2", b"kind": b"granted"}
    for entry in (fields, usual | fields):
        with contextlib.suppress(*UNKNOWN_FORM):
            events.decode(draw.some(), entry)
    with contextlib.suppress(*UNKNOWN_FORM):
        events.order(data.decode(errors="replace"))


def body(data: bytes) -> None:
    """What is kept of a durable task: a ValueError for what is none; payloads come back exactly."""
    task = Task(payload=data)
    assert decode_body(encode_body(task), Task()).payload == data
    for stored in (data, b"1" + data, b"1{" + data, b'1{"team":' + data):
        with contextlib.suppress(ValueError):
            decode_body(stored, Task())


def trace(data: bytes) -> None:
    """A file for `replay`: requests, or a TraceError with its line."""
    header = b"TIMESTAMP,ContextTokens,GeneratedTokens\n"
    with tempfile.TemporaryDirectory(prefix="loco-fuzz-") as folder:
        path = Path(folder) / "trace.csv"
        for text in (data, header + data, header + b"2023-11-16 18:17:03," + data):
            path.write_bytes(text)
            try:
                requests = traces.read(path)
            except traces.TraceError as error:
                if "line" not in str(error):
                    raise
            else:
                assert all(each.service >= 0 and each.weight >= 1 for each in requests)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (url, hint, reply, row, event, body, trace)
}
