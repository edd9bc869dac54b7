"""FakeProvider: what a test talks to."""

from __future__ import annotations

import threading
from typing import Self

from loco_redis.testing.fake_provider.billed import Billed
from loco_redis.testing.fake_provider.record import Request
from loco_redis.testing.fake_provider.reply import Reply
from loco_redis.testing.fake_provider.server import Server

_HOST = "127.0.0.1"
_KEY = "fake-key"
_POLL = 0.02  # seconds until `stop` is noticed


class FakeProvider:
    """An LLM provider on loopback; use it by `with`, or `start()` and `stop()` it.

    Args:
        port: 0 takes a free one.
        latency: seconds that a call takes until its answer begins.
    """

    def __init__(self, port: int = 0, latency: float = 0.0) -> None:
        self._server = Server(_HOST, port, latency)
        self._record = self._server.record
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="fake-provider", daemon=True
        )

    def __repr__(self) -> str:
        shown = " ".join(f"{name}={value}" for name, value in self.figures.items())
        return f"<FakeProvider {self.url} {shown}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Break off what is under way, close every connection, end every thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()

    # Where it is

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self._server.server_address[1]}"

    @property
    def anthropic_url(self) -> str:
        """The `base_url` of an Anthropic client."""
        return self.url

    @property
    def openai_url(self) -> str:
        """The `base_url` of an OpenAI client."""
        return f"{self.url}/v1"

    @property
    def gemini_url(self) -> str:
        """The `base_url` of the `HttpOptions` of a client of google-genai."""
        return self.url

    @property
    def bedrock_url(self) -> str:
        """The `endpoint_url` of a `bedrock-runtime` client."""
        return self.url

    @property
    def environment(self) -> dict[str, str]:
        """Variables that bring SDK clients here which are made without arguments."""
        return {
            "ANTHROPIC_BASE_URL": self.anthropic_url,
            "ANTHROPIC_API_KEY": _KEY,
            "OPENAI_BASE_URL": self.openai_url,
            "OPENAI_API_KEY": _KEY,
            "GOOGLE_GEMINI_BASE_URL": self.gemini_url,
            "GOOGLE_API_KEY": _KEY,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.bedrock_url,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    # What it is to do

    @property
    def default(self) -> Reply:
        """What calls get for which nothing is scripted."""
        return self._record.default

    @default.setter
    def default(self, reply: Reply) -> None:
        self._record.default = reply

    def script(self, *replies: Reply) -> None:
        """What the next calls get, in the order in which they come in."""
        self._record.script(*replies)

    # What it saw

    @property
    def requests(self) -> list[Request]:
        """All so far, in the order in which they came in."""
        return self._record.requests

    @property
    def in_flight(self) -> int:
        """Requests whose answers are not fully written."""
        return self.figures["in_flight"]

    @property
    def peak(self) -> int:
        """The most requests at once: from when one was read until its last bytes went out."""
        return self.figures["peak"]

    @property
    def reported(self) -> list[Billed]:
        """What complete answers said of tokens, in the order in which they were completed."""
        return self._record.reported

    @property
    def disconnects(self) -> int:
        """Callers that went away before they had the whole answer."""
        return self.figures["disconnects"]

    @property
    def figures(self) -> dict[str, int]:
        """The numbers above, of one moment; also at `GET /stats`."""
        return self._record.figures
