"""Figures for Prometheus: read when they are scraped, never through an event loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.metrics._http import HTTPServer
from loco_redis.metrics.catalogue import METRICS, Distribution, Kind, Metric, Point
from loco_redis.metrics.sources import Source, Sources
from loco_redis.metrics.workers import WorkerTarget

Sample = tuple[dict[str, str], float]


class PrometheusExporter:
    """Serves the metrics of `docs/metrics.md`; `start` it, `stop` it. Needs the extra
    `prometheus`.

    Args:
        source: whose figures: schedulers, blocking ones too; an `Observer`, or a `Link` for all
            resources of its server, also later ones. None: the schedulers that are open in this
            process, also those opened later.
        max_agents: most agents (teams, models, ...) that a metric tells one by one: those with the
            highest scores, costs and so on. The rest is summed as `__other__` where a sum makes
            sense.
        timeout: seconds that a scrape may take; what has not been read by then has `up` 0.
        fleet: False: only what this process has measured itself, nothing is read from Redis. For
            workers, where another process exports the fleet's figures.
        workers: what `loco_redis_desired_workers` is computed for. Arrivals and service times are
            those between the scrapes of the last minute.

    Raises:
        ValueError: any of them out of range.
        ModuleNotFoundError: prometheus-client is not installed.
    """

    def __init__(
        self,
        source: Source | Iterable[Source] | None = None,
        *,
        max_agents: int = 200,
        timeout: float = 5.0,
        fleet: bool = True,
        workers: WorkerTarget | None = None,
    ) -> None:
        self._sources = Sources(
            source, max_agents=max_agents, timeout=timeout, fleet=fleet, workers=workers
        )
        self._client = need("prometheus_client", "prometheus")
        self._core = need("prometheus_client.core", "prometheus")
        self._server: HTTPServer | None = None
        self._addr = ""
        self.registry = self._client.CollectorRegistry()
        self.registry.register(self)

    def __repr__(self) -> str:
        return f"<PrometheusExporter {self.url or 'not started'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int | None:
        """None while it is not started."""
        return self._server.port if self._server else None

    @property
    def url(self) -> str | None:
        """Where to scrape; None while it is not started."""
        if self._server is None:
            return None
        host = f"[{self._addr}]" if ":" in self._addr else self._addr
        return f"http://{host}:{self._server.port}/metrics"

    def start(self, port: int = 9464, addr: str = "127.0.0.1") -> Self:
        """Serve from now on, in threads of its own. Returns itself.

        Args:
            port: 0 for any that is free; see `port`.
            addr: "0.0.0.0" serves to other hosts; nobody is asked for a password.

        Raises:
            OSError: the port is in use, or not allowed.
            RuntimeError: it is started already.
        """
        validate.count("port", port, 0, 65_535)
        if self._server is not None:
            raise RuntimeError(f"it serves already at {self.url}: stop() it first")
        application = self._client.make_wsgi_app(self.registry)
        self._server = HTTPServer(application, port, addr, "loco_redis.metrics")
        self._addr = addr
        return self

    def stop(self) -> None:
        """The port is free and no thread is left when this returns; a scrape under way is
        finished. Idempotent; it may be started again."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def snapshot(self) -> dict[str, list[Sample]]:
        """Sample name -> (labels, value) of each sample, as a scrape now would have them. Blocks
        while Redis is read: in an event loop call it by `asyncio.to_thread`."""
        found: dict[str, list[Sample]] = {}
        for family in self.collect():
            for sample in family.samples:
                found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return found

    def collect(self) -> Iterator[Any]:
        """Called by prometheus_client at each scrape."""
        points = self._sources.points()
        for metric in METRICS.values():
            yield self._family(metric, points.get(metric.name, []))

    def _family(self, metric: Metric, points: list[Point]) -> Any:
        kinds = {
            Kind.GAUGE: self._core.GaugeMetricFamily,
            Kind.COUNTER: self._core.CounterMetricFamily,
            Kind.HISTOGRAM: self._core.HistogramMetricFamily,
            Kind.SUMMARY: self._core.SummaryMetricFamily,
        }
        family = kinds[metric.kind](metric.name, metric.help, labels=metric.label_names)
        for labels, value in points:
            if not isinstance(value, Distribution):
                family.add_metric(labels, value)
            elif metric.kind is Kind.SUMMARY:
                family.add_metric(labels, count_value=sum(value.counts), sum_value=value.total)
            else:
                family.add_metric(labels, buckets=value.cumulated(), sum_value=value.total)
        return family
