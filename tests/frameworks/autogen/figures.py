"""What AutoGen shows of a bill."""

from __future__ import annotations

from loco_redis.adapters import Usage
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.settled import Figures, price


def uncached(provider: FakeProvider) -> Figures:
    """Tokens and cost by what the provider has said, as AutoGen passes it on: it hides which of the
    prompt's tokens were read from a cache or written to one, and which were reasoning."""
    shown = [
        (
            bill.model,
            Usage(
                input_tokens=bill.input_tokens + bill.cache_read_tokens + bill.cache_write_tokens,
                output_tokens=bill.output_tokens,
            ),
        )
        for bill in provider.reported
    ]
    return (
        sum(usage.total_tokens for _, usage in shown),
        round(sum(price(model, usage) for model, usage in shown), 3),
    )
