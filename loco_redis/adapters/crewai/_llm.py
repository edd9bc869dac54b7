"""Classes of CrewAI's LLMs that differ from a given one only in that their calls are scheduled."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from loco_redis._extras import need
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.usage import Usage

need("crewai", "crewai")
_base_llm = need("crewai.llms.base_llm", "crewai")
_usage_metrics = need("crewai.types.usage_metrics", "crewai")

_LONGEST_ROLE = 100

#: What CrewAI derives from a model's name when it makes an LLM of OpenAI's.
_DERIVED = {"is_o1_model": "o1", "is_gpt4_model": "gpt-4"}


class UnderWay:
    """A call, told by its LLM what comes of it. `outer`: in whose slot a tool makes it."""

    def __init__(self, call: ModelCall, outer: UnderWay | None) -> None:
        self.call = call
        self._outer, self._used, self._streamed = outer, Usage(), False

    def seen(self, text: str) -> None:
        self._streamed = True
        self.call.seen(text)

    def used(self, raw: Any) -> None:
        """An answer of the provider; a call may need more than one."""
        metrics = _usage_metrics.UsageMetrics.from_provider_dict(raw)
        if metrics is None or not metrics.total_tokens:
            return
        self._used = _sum(self._used, metrics)
        self.call.used(self._used)
        if self._outer is not None:
            self._outer.used(raw)

    def answered(self, answer: Any) -> None:
        """Its text counts where the provider does not tell what it has used."""
        if isinstance(answer, str) and not self._streamed:
            self.call.seen(answer)


#: The innermost call of this context; CrewAI makes one at a time in each.
_under_way: ContextVar[UnderWay | None] = ContextVar("loco_redis_crewai", default=None)


def scheduled_llm(llm: Any, conductor: Conductor) -> Any:
    """A copy of the LLM, of a subclass of its class; of a scheduled one, scheduled by this
    conductor alone. They share clients and counters."""
    scheduled, kind = copy.copy(llm), getattr(type(llm), "loco_base", type(llm))
    object.__setattr__(scheduled, "__class__", _scheduled_class(kind, conductor))
    return scheduled


def is_scheduled(llm: Any) -> bool:
    return hasattr(type(llm), "loco_base")


def _scheduled_class(kind: Any, conductor: Conductor) -> Any:
    """BaseLLM puts its retries of 429s around the two methods of any subclass, and makes them only
    once in nested calls: so each attempt has a slot, and waiting for the next one needs none."""

    class Scheduled(kind):
        loco_base: ClassVar[Any] = kind

        def call(self, messages: Any, *args: Any, **more: Any) -> Any:
            call, answering = _asked(conductor, self, messages, args, more)

            def send() -> Any:
                with answering() as (llm, under_way):
                    answer = kind.call(llm, messages, *args, **more)
                    under_way.answered(answer)
                    return answer

            return conductor.ask_blocking(call, send, _told)

        async def acall(self, messages: Any, *args: Any, **more: Any) -> Any:
            call, answering = _asked(conductor, self, messages, args, more)

            async def send() -> Any:
                with answering() as (llm, under_way):
                    answer = await kind.acall(llm, messages, *args, **more)
                    under_way.answered(answer)
                    return answer

            return await conductor.ask(call, send, _told)

        def _track_token_usage_internal(self, usage_data: Any) -> None:
            super()._track_token_usage_internal(usage_data)
            if (under_way := _under_way.get()) is not None:
                under_way.used(usage_data)

        def _emit_stream_chunk_event(self, chunk: str, *args: Any, **more: Any) -> None:
            if (under_way := _under_way.get()) is not None:
                under_way.seen(chunk)
            super()._emit_stream_chunk_event(chunk, *args, **more)

    Scheduled.__name__, Scheduled.__qualname__ = kind.__name__, kind.__qualname__
    Scheduled.__module__, Scheduled.__doc__ = kind.__module__, kind.__doc__
    return Scheduled


def _told(_: Any) -> None:
    """By the LLM itself."""


#: Entered while a call is made: the LLM to make it by, and what it is told to.
Answering = Callable[[], AbstractContextManager[tuple[Any, UnderWay]]]


def _asked(
    conductor: Conductor, llm: Any, messages: Any, args: Any, more: Any
) -> tuple[ModelCall, Answering]:
    given = dict(zip(_AFTER_MESSAGES, args, strict=False)) | more
    limit = llm._effective_max_tokens()
    name: str = llm.model.rpartition("/")[2]
    turned: list[str] = []
    call = conductor.call(
        name,
        [messages, *(given.get("tools") or ())],
        int(limit) if limit else None,
        agent_id=_role(given),
        use=turned.append,
    )

    @contextmanager
    def answering() -> Iterator[tuple[Any, UnderWay]]:
        under_way = UnderWay(call, _under_way.get())
        before = _under_way.set(under_way)
        try:
            with _turned(llm, llm.model[: -len(name)] + turned[0] if turned else None) as other:
                yield other, under_way
        finally:
            _under_way.reset(before)

    return call, answering


_AFTER_MESSAGES = ("tools", "callbacks", "available_functions", "from_task", "from_agent")


def _role(given: Any) -> str | None:
    """Of the agent that asks: in one line, as roles are often written over several."""
    agent = given.get("from_agent") or getattr(given.get("from_task"), "agent", None)
    role = getattr(agent, "role", None)
    return " ".join(role.split())[:_LONGEST_ROLE] or None if isinstance(role, str) else None


@contextmanager
def _turned(llm: Any, model: str | None) -> Iterator[Any]:
    """The LLM; or, for this call, the same by another model's name."""
    if model is None:
        yield llm
        return
    other = copy.copy(llm)
    other.model = model
    for field, part in _DERIVED.items():
        if hasattr(other, field):
            setattr(other, field, part in model.lower())
    with ExitStack() as stack:  # what holds for this call is known by the LLM's identity
        stack.enter_context(_base_llm.call_stop_override(other, llm.stop_sequences))
        stack.enter_context(_base_llm.call_stream_override(other, llm._effective_stream()))
        yield other


def _sum(used: Usage, metrics: Any) -> Usage:
    """Here the input includes what was read from a cache and written to one."""
    prompt = metrics.prompt_tokens
    read = min(metrics.cached_prompt_tokens, prompt)
    written = min(metrics.cache_creation_tokens, prompt - read)
    output = metrics.completion_tokens
    return Usage(
        input_tokens=used.input_tokens + prompt - read - written,
        cache_read_tokens=used.cache_read_tokens + read,
        cache_write_tokens=used.cache_write_tokens + written,
        output_tokens=used.output_tokens + output,
        reasoning_tokens=used.reasoning_tokens + min(metrics.reasoning_tokens, output),
    )
