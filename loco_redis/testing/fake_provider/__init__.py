"""A fake LLM provider on loopback: for tests, benchmarks, and demos without a network.

    with FakeProvider() as provider:
        client = anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any")
        provider.script(Reply(status=429, retry_after=1), Reply(text="4"))
        ...
        assert provider.peak == 1

It speaks Anthropic messages (and `count_tokens`), OpenAI chat completions, responses and
embeddings, Gemini's generated content, Bedrock's Converse and `invoke`; JSON, server-sent events
and AWS event streams; and `GET /v1/models`. `python -m loco_redis.testing.fake_provider` runs one
as a process.

- `provider.py`   `FakeProvider`: what a test talks to
- `reply.py`      `Reply`: what a call is to get
- `record.py`     `Request` and `Record`: what it saw
- `billed.py`     `Billed`: the tokens of a call, a function of the request
- `answer.py`     `Answer`: bytes to be sent; `anthropic.py`, `openai.py`, `responses.py`,
                  `gemini.py`, `bedrock.py` make them
- `routes.py`     which of them answers which path
- `server.py`     sockets, delays, broken connections
"""

from loco_redis.testing.fake_provider.billed import Billed
from loco_redis.testing.fake_provider.provider import FakeProvider
from loco_redis.testing.fake_provider.record import Request
from loco_redis.testing.fake_provider.reply import Reply

__all__ = ["Billed", "FakeProvider", "Reply", "Request"]
