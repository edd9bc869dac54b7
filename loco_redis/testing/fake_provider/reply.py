"""Reply: what a call is to get."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from loco_redis.testing.fake_provider.billed import Billed


@dataclass(frozen=True, slots=True)
class Reply:
    """How one call is answered. The parts of a stream are its events; any other answer is one part.

    Attributes:
        text: of the answer; JSON where the caller wants structured output.
        status: from 400 on, an error in the provider's form.
        retry_after: the header, seconds or an HTTP date.
        delay: seconds until the answer begins; None: the provider's `latency`.
        chunk_delay: seconds between the parts.
        gate: the answer is held until it is set; so a test needs no sleeps.
        gate_after: it is held after so many parts, instead of before the answer.
        break_after: the connection is closed after so many parts and before the answer's end; with
            0 before anything was answered, with 1 in the middle of an answer that is no stream.
        stream_error: a stream of Bedrock ends in its middle by an exception of this name, such as
            `throttlingException`.
        billed: the tokens; None: a function of the request.
    """

    text: str = "Hello from the fake provider."
    status: int = 200
    retry_after: float | str | None = None
    delay: float | None = None
    chunk_delay: float = 0.0
    gate: threading.Event | None = None
    gate_after: int = 0
    break_after: int | None = None
    stream_error: str = ""
    billed: Billed | None = None

    @property
    def failed(self) -> bool:
        return self.status >= 400
