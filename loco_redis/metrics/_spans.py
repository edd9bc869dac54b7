"""A span for each lease: from the grant to its end."""

from __future__ import annotations

from typing import Any, NamedTuple

from loco_redis._extras import need
from loco_redis.lease import BaseLease


class _Open(NamedTuple):
    span: Any
    tokens: list[Any]  # of the context in which the span is the current one


class LeaseSpans:
    """A listener. The span of a with-block is current in its body, so that calls made there become
    its children. No text of an exception, no payload and no prompt is recorded."""

    def __init__(self, tracer_provider: Any) -> None:
        self._trace = need("opentelemetry.trace", "otel")
        self._context = need("opentelemetry.context", "otel")
        provider = tracer_provider or self._trace.get_tracer_provider()
        self._tracer = provider.get_tracer("loco_redis")
        self._open: dict[BaseLease, _Open] = {}

    def granted(self, lease: BaseLease) -> None:
        span = self._tracer.start_span(f"lease {lease.name}", attributes=_attributes(lease))
        self._open[lease] = _Open(span, [])

    def entered(self, lease: BaseLease) -> None:
        if (found := self._open.get(lease)) is not None:
            inside = self._trace.set_span_in_context(found.span)
            found.tokens.append(self._context.attach(inside))

    def left(self, lease: BaseLease) -> None:
        found = self._open.get(lease)
        while found is not None and found.tokens:
            self._context.detach(found.tokens.pop())

    def settled(self, lease: BaseLease, cost: float, tokens: int | None) -> None:
        if (found := self._open.get(lease)) is not None:
            found.span.set_attribute("loco.cost", cost)
            if tokens is not None:
                found.span.set_attribute("loco.tokens", tokens)

    def ended(self, lease: BaseLease, error: BaseException | None) -> None:
        found = self._open.pop(lease, None)
        if found is None:
            return
        kind = "LeaseLostError" if lease.lost else type(error).__name__ if error else ""
        if kind:
            found.span.set_attribute("error.type", kind)
            found.span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, kind))
        found.span.end()


def _attributes(lease: BaseLease) -> dict[str, Any]:
    task = lease.task
    told = {
        "gen_ai.agent.id": lease.agent_id,
        "gen_ai.request.model": task.model,
        "gen_ai.conversation.id": task.session_id,
        "loco.agent": lease.agent_id,
        "loco.resource": lease.name,
        "loco.slot": lease.slot,
        "loco.token": lease.token,
        "loco.request_id": lease.request_id,
        "loco.score": lease.score,
        "loco.waited": lease.waited,
        "loco.waited_ticks": lease.waited_ticks,
        "loco.weight": task.weight,
        "loco.task_id": task.task_id,
        "loco.attempt": task.attempt if task.task_id else None,
        "loco.task_type": task.task_type or None,
        "loco.team": task.team,
        "loco.workflow": task.workflow,
    }
    return {name: value for name, value in told.items() if value is not None}
