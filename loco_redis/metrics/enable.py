"""One call that exports the figures of all schedulers of a process. What it needs is imported when
it is called."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loco_redis.metrics.otel import Telemetry
    from loco_redis.metrics.prometheus import PrometheusExporter

_lock = threading.Lock()
# What was asked for, in which process, and what came of it.
_exporter: tuple[tuple[object, ...], PrometheusExporter] | None = None
_telemetry: Telemetry | None = None


def enable_prometheus(
    port: int = 9464, addr: str = "127.0.0.1", *, fleet: bool = True
) -> PrometheusExporter:
    """Serve the metrics of all schedulers that are open in this process, also those opened later.
    Called again it returns the same exporter, which may be stopped and enabled anew.

    Args: as of PrometheusExporter and its `start`.

    Raises:
        ModuleNotFoundError: prometheus-client is not installed.
        OSError: the port is in use.
        RuntimeError: it serves already, with other arguments.
    """
    from loco_redis.metrics.prometheus import PrometheusExporter

    global _exporter
    asked = (os.getpid(), port, addr, fleet)
    with _lock:
        if _exporter is not None and _exporter[0][0] == os.getpid() and _exporter[1].url:
            if _exporter[0] != asked:
                raise RuntimeError(f"it serves already at {_exporter[1].url}: stop() it first")
            return _exporter[1]
        exporter = PrometheusExporter(fleet=fleet).start(port, addr)
        _exporter = (asked, exporter)
        return exporter


def enable_opentelemetry(
    meter_provider: Any = None,
    tracer_provider: Any = None,
    *,
    metrics: bool = True,
    spans: bool = True,
    fleet: bool = True,
) -> Telemetry:
    """Export the metrics of all schedulers that are open in this process, also those opened later,
    and a span for each lease, through the OpenTelemetry API. Called again it returns the same
    object, until that is stopped.

    Args: as of Telemetry.

    Raises:
        ModuleNotFoundError: opentelemetry-api is not installed.
    """
    from loco_redis.metrics.otel import Telemetry

    global _telemetry
    with _lock:
        if _telemetry is None or _telemetry.stopped:
            _telemetry = Telemetry(
                meter_provider=meter_provider,
                tracer_provider=tracer_provider,
                metrics=metrics,
                spans=spans,
                fleet=fleet,
            )
        return _telemetry
