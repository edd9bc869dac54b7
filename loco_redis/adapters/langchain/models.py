"""Chat models that differ from given ones only in that their calls are scheduled."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, Unpack

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.schedulers import Given
from loco_redis.adapters.langchain._hooks import (
    Hook,
    agenerate_hook,
    astream_hook,
    generate_hook,
    stream_hook,
)
from loco_redis.adapters.langchain._reading import Sum

BaseChatModel = need("langchain_core.language_models", "langchain").BaseChatModel

M = TypeVar("M")


def schedule(model: M, scheduler: Given = None, **options: Unpack[CallArguments]) -> M:
    """A copy of a chat model, to be used as before, whose every call waits until its agent's turn
    has come. `model` itself is left as it is; both share its HTTP clients.

    The slot is held while the provider answers: not for an answer out of LangChain's cache, nor
    while a chain or an agent does other things. Streams of OpenAI are asked for their usage, unless
    the model was made with `stream_usage=False`.

    Args:
        model: a BaseChatModel: before `bind_tools`, `with_structured_output`, `with_retry`, not
            what they return.
        scheduler: an AsyncLOCOScheduler (for async calls, and for plain ones in other threads than
            its loop's), a LOCOScheduler (for plain calls), or None: the configured one.
        options: as in CallArguments. Without `agent_id`, and outside of `loco_redis.agent`, the
            agent is that of `create_agent(name=)` or the node of LangGraph that makes the call.

    Raises:
        ValueError: `model` is no chat model, or an option is out of range.
    """
    if not isinstance(model, BaseChatModel):
        raise ValueError(
            "model must be a chat model of LangChain, such as ChatOpenAI, before bind_tools or "
            f"with_structured_output, got {validate.shown(model)}"
        )
    conductor = Conductor("langchain", scheduler, **options)
    scheduled: M = turned(model, scheduled_class(type(model), conductor))
    return scheduled


def scheduled_class(base: type, conductor: Conductor) -> type:
    """A subclass of `base` under the same name, so that caches and traces know its models as those
    of `base`. It has the hooks that `base` has, as LangChain asks classes for them.

    The async ones are scheduled also where `base` leaves them to LangChain, which runs the plain
    ones in threads: those must not be full of calls that wait for a slot.
    """
    streams = base._stream is not BaseChatModel._stream  # type: ignore[attr-defined]
    astreams = base._astream is not BaseChatModel._astream  # type: ignore[attr-defined]
    chosen: dict[str, tuple[Callable[..., Hook], bool]] = {
        "_generate": (generate_hook, True),
        "_agenerate": (agenerate_hook, True),
        "_stream": (partial(stream_hook, Sum.read), streams),
        "_astream": (partial(astream_hook, Sum.read), streams or astreams),
    }
    for name, make in (("_stream", stream_hook), ("_astream", astream_hook)):
        events = f"{name}_chat_model_events"
        chosen[events] = partial(make, Sum.read_event), getattr(base, events, None) is not None
    members: dict[str, Any] = {
        name: functools.wraps(getattr(base, name))(make(getattr(base, name), conductor))
        for name, (make, has) in chosen.items()
        if has
    }
    named = {"__module__": base.__module__, "__qualname__": base.__qualname__}
    members["__reduce_ex__"] = _reduced(base, conductor)
    return type(base)(base.__name__, (base,), {**members, **named, "__doc__": base.__doc__})


def turned(model: Any, into: type) -> Any:
    """A copy of the model, of a subclass of its class."""
    copy = model.model_copy()
    object.__setattr__(copy, "__class__", into)
    return copy


def seen_as(model: Any, into: type) -> Any:
    """The model itself, as an object of a subclass of its class: what either keeps, such as a
    client that is made at the first call, both have."""
    view: Any = object.__new__(into)
    for name in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    ):
        object.__setattr__(view, name, getattr(model, name))
    return view


def _reduced(base: type, conductor: Conductor) -> Callable[..., Any]:
    """For pickle, which finds classes by name; a scheduler is a connection, and stays here."""

    def reduce_ex(self: Any, protocol: int) -> tuple[Any, ...]:
        if conductor.scheduler is not None:
            raise pickle.PicklingError(
                "a model with a scheduler of its own cannot be pickled: schedule it without one, "
                "and call loco_redis.configure in each process"
            )
        options = conductor.options
        arguments = {**options.arguments(), "prices": options.pricing._prices}
        return _empty, (base, arguments), self.__getstate__()

    return reduce_ex


def _empty(base: type, options: Any) -> Any:
    made = scheduled_class(base, Conductor("langchain", None, **options))
    return object.__new__(made)
