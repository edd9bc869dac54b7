"""HDR histograms of spans of time: microseconds up to an hour, three digits."""

from __future__ import annotations

from typing import Any

from loco_redis._extras import need
from loco_redis.cli.bench._figures import Spans

_LEAST, _MOST, _DIGITS = 1, 3600 * 10**6, 3
# Nines: the tail has as much room in a plot as the body.
_SHOWN = (
    *(0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97, 98, 99),
    *(99.2, 99.5, 99.7, 99.8, 99.9, 99.95, 99.99, 99.999, 100),
)


class Histogram:
    """Spans, counted. What a host has counted travels as `encoded` text and is added to others."""

    def __init__(self, encoded: str | None = None) -> None:
        made = need("hdrh.histogram", "bench").HdrHistogram
        self._hdr: Any = made.decode(encoded) if encoded else made(_LEAST, _MOST, _DIGITS)

    def record(self, nanoseconds: int) -> None:
        """Less than a microsecond counts as one, more than an hour as an hour."""
        self._hdr.record_value(min(max(_LEAST, round(nanoseconds / 1000)), _MOST))

    def add(self, other: Histogram) -> None:
        self._hdr.add(other._hdr)

    def encoded(self) -> str:
        """Compressed, in base64, as other HdrHistogram libraries read it."""
        text: bytes = self._hdr.encode()
        return text.decode("ascii")

    def spans(self) -> Spans:
        """All 0.0 when nothing was recorded."""
        if not (number := self._hdr.get_total_count()):
            return Spans(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ())
        curve = tuple((float(percent), self._at(percent)) for percent in _SHOWN)
        return Spans(
            count=number,
            mean=self._hdr.get_mean_value() / 1e6,
            p50=self._at(50),
            p95=self._at(95),
            p99=self._at(99),
            p999=self._at(99.9),
            longest=self._at(100),
            curve=curve,
        )

    def _at(self, percent: float) -> float:
        value: int = self._hdr.get_value_at_percentile(percent)
        return value / 1e6
