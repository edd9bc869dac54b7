"""The same figures through the OpenTelemetry API, and a span for each lease."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import loco_redis
from loco_redis import LOCOScheduler, SharedResource, Task
from loco_redis._listeners import listeners
from loco_redis.metrics.catalogue import METRICS, Kind
from loco_redis.metrics.otel import Telemetry
from tests.schedulers import NAME, Schedulers
from tests.servers import Server


class Backend:
    """What an application has set up: it keeps all in memory."""

    def __init__(self) -> None:
        self.reader, self.exporter = InMemoryMetricReader(), InMemorySpanExporter()
        self.meters = MeterProvider([self.reader])
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def figures(self) -> dict[str, list[Any]]:
        """Instrument -> its data points."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: [*metric.data.data_points]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    @property
    def spans(self) -> list[ReadableSpan]:
        return [*self.exporter.get_finished_spans()]


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.meters.shutdown()
    made.tracers.shutdown()
    assert listeners == []


def _enable(backend: Backend, **options: Any) -> Telemetry:
    return loco_redis.enable_opentelemetry(backend.meters, backend.tracers, **options)


# Figures


async def test_figures_are_those_of_prometheus(schedulers: Schedulers, backend: Backend) -> None:
    """Dots for underscores, no suffixes, units beside; histograms as counters."""
    telemetry = _enable(backend)
    async with schedulers(capacity=2) as scheduler:
        async with scheduler.acquire("a", Task(team="core", weight=2.5)):
            pass
        found = await asyncio.to_thread(backend.figures)
        telemetry.stop()
    (held,) = found["loco_redis.capacity"]
    assert (held.value, dict(held.attributes)) == (2, {"resource": NAME})
    (cost,) = found["loco_redis.team.cost"]
    assert (cost.value, dict(cost.attributes)) == (2.5, {"resource": NAME, "team": "core"})
    assert found["loco_redis.grants"][0].value == 1
    assert found["loco_redis.wait.count"][0].value == 1
    buckets = {point.attributes["le"]: point.value for point in found["loco_redis.wait.bucket"]}
    assert buckets["+Inf"] == 1
    assert found["loco_redis.handoff.count"][0].value == 1
    assert found["loco_redis.agent.wait.count"][0].attributes["agent"] == "a"


async def test_every_metric_has_its_instruments(schedulers: Schedulers, backend: Backend) -> None:
    """None is left out, and no name is used twice."""
    names: list[str] = []

    class Meter:
        def create_observable_gauge(self, name: str, *rest: Any) -> None:
            names.append(name)

        create_observable_counter = create_observable_gauge

    class Provider:
        def get_meter(self, name: str) -> Meter:
            return Meter()

    Telemetry([], meter_provider=Provider(), spans=False).stop()
    assert len(names) == len(set(names))
    many = {Kind.HISTOGRAM: 3, Kind.SUMMARY: 2}
    assert len(names) == sum(many.get(metric.kind, 1) for metric in METRICS.values())
    assert all(name.startswith("loco_redis.") for name in names)


async def test_one_collection_reads_redis_once(schedulers: Schedulers, backend: Backend) -> None:
    """All instruments share a reading."""
    telemetry = _enable(backend, spans=False)
    async with schedulers():
        info = schedulers.server.client.info
        before = info("stats")["total_connections_received"]
        await asyncio.to_thread(backend.figures)
        assert info("stats")["total_connections_received"] == before + 1
        telemetry.stop()


async def test_stopped_nothing_is_exported(schedulers: Schedulers, backend: Backend) -> None:
    """Neither figures nor spans; enabled again it begins anew."""
    telemetry = _enable(backend)
    assert _enable(backend) is telemetry
    telemetry.stop()
    telemetry.stop()
    async with schedulers() as scheduler:
        async with scheduler.acquire("a"):
            pass
        assert await asyncio.to_thread(backend.figures) == {}
    assert backend.spans == []
    again = _enable(backend, metrics=False)
    assert again is not telemetry
    again.stop()


# Spans


async def test_a_span_for_each_lease(schedulers: Schedulers, backend: Backend) -> None:
    """With the names of GenAI conventions where they apply, and what the lease cost."""
    telemetry = _enable(backend, metrics=False)
    async with schedulers() as scheduler:
        task = Task(2.0, "chat", model="opus", session_id="s-1", team="core", payload=b"secret")
        async with scheduler.acquire("webhook", task) as lease:
            await lease.settle(1.5, tokens=700)
        telemetry.stop()
    (span,) = backend.spans
    told = dict(span.attributes or {})
    assert span.name == f"lease {NAME}"
    assert told["gen_ai.request.model"] == "opus"
    assert told["gen_ai.conversation.id"] == "s-1"
    assert told["gen_ai.agent.id"] == told["loco.agent"] == "webhook"
    assert (told["loco.slot"], told["loco.token"]) == (0, lease.token)
    assert (told["loco.cost"], told["loco.tokens"], told["loco.weight"]) == (1.5, 700, 2.0)
    assert 0 <= told["loco.waited"] < 10  # type: ignore[operator]
    assert told["loco.waited_ticks"] == 0
    assert (told["loco.team"], told["loco.task_type"]) == ("core", "chat")
    assert "loco.workflow" not in told
    assert span.status.status_code is trace.StatusCode.UNSET
    assert "secret" not in span.to_json()


async def test_spans_of_the_body_are_children(schedulers: Schedulers, backend: Backend) -> None:
    """The lease's span lies between that of the caller and those made under the lease."""
    telemetry = _enable(backend, metrics=False)
    tracer = backend.tracers.get_tracer("application")
    async with schedulers(capacity=2) as scheduler:
        with tracer.start_as_current_span("outer"):
            async with scheduler.acquire("a"):
                with tracer.start_as_current_span("call"):
                    pass
            with tracer.start_as_current_span("after"):
                pass
        telemetry.stop()
    parents = _parents(backend.spans)
    assert parents == {
        "call": f"lease {NAME}",
        f"lease {NAME}": "outer",
        "after": "outer",
        "outer": "",
    }


async def test_spans_of_concurrent_leases_do_not_mix(
    schedulers: Schedulers, backend: Backend
) -> None:
    """Each task has its own context."""
    telemetry = _enable(backend, metrics=False)
    tracer = backend.tracers.get_tracer("application")

    async def work(number: int) -> None:
        async with scheduler.acquire(f"agent-{number}"):
            with tracer.start_as_current_span(f"call-{number}"):
                await asyncio.sleep(0)

    async with schedulers(capacity=3) as scheduler:
        await asyncio.gather(*(work(number) for number in range(9)))
        telemetry.stop()
    spans = {span.context.span_id: span for span in backend.spans if span.context}
    assert len(spans) == 18
    for span in spans.values():
        if span.name.startswith("call"):
            assert span.parent is not None
            agent = (spans[span.parent.span_id].attributes or {})["loco.agent"]
            assert agent == span.name.replace("call", "agent")


async def test_a_body_that_raises_marks_its_span(schedulers: Schedulers, backend: Backend) -> None:
    """By the type of the error; its text may quote a prompt."""
    telemetry = _enable(backend, metrics=False)
    async with schedulers() as scheduler:
        with pytest.raises(KeyError):
            async with scheduler.acquire("a"):
                raise KeyError("what the user asked")
        telemetry.stop()
    (span,) = backend.spans
    assert (span.attributes or {})["error.type"] == "KeyError"
    assert span.status.status_code is trace.StatusCode.ERROR
    assert "what the user asked" not in span.to_json()


async def test_handles_have_spans_too(schedulers: Schedulers, backend: Backend) -> None:
    """From the grant to the release; as they may end anywhere, nothing becomes their child."""
    telemetry = _enable(backend, metrics=False)
    tracer = backend.tracers.get_tracer("application")
    async with schedulers() as scheduler:
        handle = await scheduler.acquire_start("a")
        with tracer.start_as_current_span("aside"):
            pass
        await scheduler.release_handle(handle)
        telemetry.stop()
    assert _parents(backend.spans) == {"aside": "", f"lease {NAME}": ""}


def test_blocking_leases_have_spans(server: Server, backend: Backend) -> None:
    """Under the caller's span, and above those of the body, though a loop in another thread asks
    for the slot."""
    telemetry = _enable(backend, metrics=False)
    tracer = backend.tracers.get_tracer("application")

    def work() -> None:
        with tracer.start_as_current_span("outer"):
            with scheduler.acquire("a"):
                with tracer.start_as_current_span("call"):
                    pass

    with LOCOScheduler(resource=SharedResource(NAME, 1), redis=server.url) as scheduler:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    telemetry.stop()
    lease = f"lease {NAME}"
    assert _parents(backend.spans) == {"call": lease, lease: "outer", "outer": ""}


async def test_a_lost_lease_marks_its_span(schedulers: Schedulers, backend: Backend) -> None:
    """Redis has forgotten the session: the body is cancelled, the span says why."""
    telemetry = _enable(backend, metrics=False)

    async def work() -> None:
        async with scheduler.acquire("a"):
            schedulers.server.client.flushall()
            await asyncio.Event().wait()

    async with schedulers(lease_ttl=0.5) as scheduler:
        with pytest.raises(loco_redis.LeaseLostError):
            await work()
        telemetry.stop()
    (span,) = backend.spans
    assert (span.attributes or {})["error.type"] == "LeaseLostError"


async def test_a_listener_that_fails_disturbs_nobody(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error is logged; the slot is given and given back."""

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError("no telemetry today")

    listeners.append(Broken())  # type: ignore[arg-type]
    try:
        async with schedulers() as scheduler:
            async with scheduler.acquire("a"):
                pass
            assert (await scheduler.snapshot()).released == 1
    finally:
        listeners.clear()
    assert "a listener raised" in caplog.text


def test_without_the_extra_the_error_names_it() -> None:
    """The package itself imports without opentelemetry."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import loco_redis, loco_redis.metrics.otel, loco_redis.metrics._spans\n"
        "loco_redis.enable_opentelemetry()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "is not installed: pip install 'loco-redis[otel]'" in run.stderr


def _parents(spans: list[ReadableSpan]) -> dict[str, str]:
    """Span -> the span above it, by name; "" for none."""
    names = {span.context.span_id: span.name for span in spans if span.context}
    return {span.name: names.get(span.parent.span_id, "?") if span.parent else "" for span in spans}
