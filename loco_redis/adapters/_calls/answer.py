"""One HTTP answer, read while it passes on to its caller. No I/O.

Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from loco_redis.adapters._calls.formats import Format
from loco_redis.adapters.usage import CHARACTERS_PER_TOKEN, Usage

_MOST_BYTES = 8 << 20  # of one event: a longer one is passed on, and not understood
_BLANK = (b"\n", b"\r\n", b"\r")


class Answer:
    """Feed it the body; it knows the usage at any time, and never raises on any bytes.

    A JSON body is kept until its end, of a stream one event.

    Args:
        wire: the request's format; None: nothing is understood, all is passed on.
        content_type: the answer's header.
        hides_usage: the caller did not ask for a stream's usage, so its event is left out.
        prompt_tokens: an estimate of the input, for streams that end before it is reported.
    """

    def __init__(
        self,
        wire: Format | None,
        content_type: str,
        *,
        hides_usage: bool = False,
        prompt_tokens: int = 0,
    ) -> None:
        kind = content_type.strip().lower()
        self._wire, self._prompt_tokens = wire, prompt_tokens
        self._events: _Events | None = None
        self._body: list[bytes] | None = None
        if wire is None:
            return
        if kind.startswith("text/event-stream"):
            self._events = _Events(wire, hides_usage)
        elif not kind or "json" in kind:
            self._body = []

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes of the body. Returns what to hand on to the caller, b"" being nothing."""
        if self._events is not None:
            return self._events.feed(chunk)
        if self._body is not None:
            self._body.append(chunk)
        return chunk

    def flush(self) -> bytes:
        """The body has ended. Returns what is still to be handed on."""
        return self._events.flush() if self._events is not None else b""

    @property
    def usage(self) -> Usage | None:
        """What the call has used, as the provider says. Of a stream that broke off, or that does
        not say: at least a token for each 4 characters seen; of one that nobody read, the prompt.
        Nothing for an error that came as a stream. None: it was not understood."""
        if self._events is not None:
            return self._usage_of_stream(self._events)
        if self._body is None or self._wire is None:
            return None
        self._body = [b"".join(self._body)]
        parsed = _parsed(self._body[0])
        return self._wire.usage_of(parsed) if parsed is not None else None

    def _usage_of_stream(self, events: _Events) -> Usage | None:
        seen = events.stream
        if not seen.begun:
            return Usage(input_tokens=0 if events.fed else self._prompt_tokens)
        usage = seen.usage or Usage()
        if seen.usage is not None and seen.complete:
            return usage
        if not usage.prompt_tokens:
            usage = replace(usage, input_tokens=self._prompt_tokens)
        at_least = -(-seen.characters // CHARACTERS_PER_TOKEN)
        return replace(usage, output_tokens=max(usage.output_tokens, at_least))


class _Events:
    """Splits a stream into lines and events, however it is cut into chunks."""

    def __init__(self, wire: Format, hides: bool) -> None:
        self.stream = wire.stream()
        self.fed = False  # whether anybody has read it
        self._wire, self._hides = wire, hides
        self._line = bytearray()  # begun, not ended
        self._sent = 0  # bytes of it that have been handed on
        self._held: list[bytes] = []  # lines of this event that have not been handed on
        self._data: list[bytes] = []
        self._size = 0  # of the event so far, without `_line`

    def feed(self, chunk: bytes) -> bytes:
        self.fed = True
        passed: list[bytes] = []
        if b"\n" in chunk or b"\r" in chunk or self._line.endswith(b"\r"):
            lines = (bytes(self._line) + chunk).splitlines(keepends=True)
            # A line feed may follow a carriage return in the next chunk.
            self._line = bytearray(b"" if lines[-1].endswith(b"\n") else lines.pop())
            for line in lines:
                self._take(line, passed)
        else:
            self._line += chunk
        if self._size + len(self._line) > _MOST_BYTES:
            self._hand_on_begun(passed)
        return b"".join(passed) if self._hides else chunk

    def flush(self) -> bytes:
        self.fed = True
        passed: list[bytes] = []
        for line in bytes(self._line).splitlines(keepends=True):
            self._take(line, passed)
        self._line.clear()
        self._end_event(passed)
        return b"".join(passed) if self._hides else b""

    def _take(self, line: bytes, passed: list[bytes]) -> None:
        self._size += len(line)
        if self._hides:
            self._held.append(line[self._sent :])
        self._sent = 0
        if self._size > _MOST_BYTES:
            self._forget(passed)
        elif line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        if line in _BLANK:
            self._end_event(passed)

    def _end_event(self, passed: list[bytes]) -> None:
        event = _parsed(b"\n".join(self._data)) if self._data else None
        if event is not None:
            self.stream.feed(event)
            if self._hides and self._wire.hides(event):
                self._held.clear()
        self._forget(passed)
        self._size = 0

    def _forget(self, passed: list[bytes]) -> None:
        passed += self._held
        self._held.clear()
        self._data.clear()

    def _hand_on_begun(self, passed: list[bytes]) -> None:
        """The event is too long to be kept, so nothing is of its last line but how it began."""
        self._forget(passed)
        passed.append(bytes(self._line[self._sent :]))
        ended = self._line.endswith(b"\r")
        self._size += len(self._line) - self._sent
        if len(self._line) > 1:
            self._line = bytearray(b":\r" if ended else b":")
        self._sent = len(self._line)


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # [DONE], for one
        return None
    return value if isinstance(value, dict) else None
