"""Figures and leases for OpenTelemetry: observable instruments, and a span for each lease."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from loco_redis._extras import need
from loco_redis._listeners import listeners
from loco_redis.metrics._spans import LeaseSpans
from loco_redis.metrics.catalogue import METRICS, PREFIX, Distribution, Kind, Metric, Point, Points
from loco_redis.metrics.sources import Source, Sources

SCOPE = "loco_redis"
_FRESH = 1.0  # seconds for which a reading serves: all instruments of a collection ask one by one

Value = tuple[float, dict[str, str]]


class Telemetry:
    """Exports from its making until `stop`. Needs the extra `otel`, and an SDK that the application
    has set up.

    The instruments are those of `docs/metrics.md`, with dots: `loco_redis.agent.cost` for
    `loco_redis_agent_cost_total`. A histogram or summary becomes counters `.bucket` (by `le`),
    `.count` and `.sum`, as the API has no observable histogram. Redis is read in the thread that
    collects.

    Args:
        source, max_agents, timeout, fleet: as of PrometheusExporter.
        meter_provider, tracer_provider: None: the global ones.
        metrics, spans: whether to export them.

    Raises:
        ValueError: any of them out of range.
        ModuleNotFoundError: opentelemetry-api is not installed.
    """

    def __init__(
        self,
        source: Source | Iterable[Source] | None = None,
        *,
        meter_provider: Any = None,
        tracer_provider: Any = None,
        metrics: bool = True,
        spans: bool = True,
        max_agents: int = 200,
        timeout: float = 5.0,
        fleet: bool = True,
    ) -> None:
        self._sources = Sources(source, max_agents=max_agents, timeout=timeout, fleet=fleet)
        self._lock = threading.Lock()
        self._points: Points = {}
        self._read_at = 0.0
        self._stopped = False
        self._spans: LeaseSpans | None = None
        self._api = need("opentelemetry.metrics", "otel")
        if metrics:
            provider = meter_provider or self._api.get_meter_provider()
            meter = provider.get_meter(SCOPE)
            for metric in METRICS.values():
                self._instrument(meter, metric)
        if spans:
            self._spans = LeaseSpans(tracer_provider)
            listeners.append(self._spans)

    def __repr__(self) -> str:
        return f"<Telemetry {'stopped' if self._stopped else 'on'}>"

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """No more spans, and no more values: the API cannot take instruments back. Idempotent."""
        self._stopped = True
        if self._spans in listeners:
            listeners.remove(self._spans)

    def _instrument(self, meter: Any, metric: Metric) -> None:
        name, unit = _name(metric), "s" if "_seconds" in metric.name else ""
        if metric.kind is Kind.GAUGE:
            callback = self._callback(metric, _plain)
            meter.create_observable_gauge(name, [callback], unit, metric.help)
            return
        parts: dict[str, tuple[Callable[[Metric, Point], Iterator[Value]], str]] = {
            "": (_plain, unit)
        }
        if metric.kind is not Kind.COUNTER:
            parts = {".count": (_count, ""), ".sum": (_total, unit)}
        if metric.kind is Kind.HISTOGRAM:
            parts[".bucket"] = (_buckets, "")
        for suffix, (values, its_unit) in parts.items():
            callback = self._callback(metric, values)
            meter.create_observable_counter(name + suffix, [callback], its_unit, metric.help)

    def _callback(
        self, metric: Metric, values: Callable[[Metric, Point], Iterator[Value]]
    ) -> Callable[[Any], Iterator[Any]]:
        observation = self._api.Observation

        def observe(options: Any) -> Iterator[Any]:
            for point in self._reading().get(metric.name, ()):
                for value, attributes in values(metric, point):
                    yield observation(value, attributes)

        return observe

    def _reading(self) -> Points:
        if self._stopped:
            return {}
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH:
                self._points = self._sources.points()
                self._read_at = time.monotonic()
            return self._points


def _name(metric: Metric) -> str:
    """`loco_redis_agent_cost_total` -> `loco_redis.agent.cost`; units are told apart from names."""
    name = metric.name.removeprefix(PREFIX).removesuffix("_total").removesuffix("_seconds")
    for scope in ("agent", "tenant", "team", "workflow", "model"):
        name = name.replace(f"{scope}_", f"{scope}.", 1) if name.startswith(scope) else name
    return f"{SCOPE}.{name}"


def _attributes(metric: Metric, point: Point) -> dict[str, str]:
    return dict(zip(metric.label_names, point.labels, strict=True))


def _plain(metric: Metric, point: Point) -> Iterator[Value]:
    assert not isinstance(point.value, Distribution)
    yield point.value, _attributes(metric, point)


def _count(metric: Metric, point: Point) -> Iterator[Value]:
    assert isinstance(point.value, Distribution)
    yield sum(point.value.counts), _attributes(metric, point)


def _total(metric: Metric, point: Point) -> Iterator[Value]:
    assert isinstance(point.value, Distribution)
    yield point.value.total, _attributes(metric, point)


def _buckets(metric: Metric, point: Point) -> Iterator[Value]:
    """Cumulated, as Prometheus has them."""
    assert isinstance(point.value, Distribution)
    attributes = _attributes(metric, point)
    for bound, passed in point.value.cumulated():
        yield passed, {**attributes, "le": bound}
