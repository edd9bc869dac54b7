"""What a call of LiteLLM asks for, and what its answers say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.usage import Usage, mapping

_LIMITS = ("max_completion_tokens", "max_tokens")
_TOLD = ("messages", "input", "tools", "functions")


class Request:
    """One call, and the arguments that it is made with.

    Args:
        arguments: of LiteLLM's function.
        names: LiteLLM's name of a model (`openai/gpt-5`) -> the model's own, for weight and price;
            of those that it may go to the likeliest first.
        use: turns the arguments to another model; None: there is no way.
    """

    def __init__(
        self,
        conductor: Conductor,
        arguments: dict[str, Any],
        names: Mapping[str, str],
        use: Callable[[str], None] | None,
    ) -> None:
        self.arguments, self._names = arguments, names
        limits = (arguments.get(name) for name in _LIMITS)
        self.call = conductor.call(
            next(iter(names.values()), ""),
            list(_prompt(arguments)),
            next((limit for limit in limits if type(limit) is int), None),
            use=use,
        )

    @classmethod
    def plain(cls, conductor: Conductor, arguments: dict[str, Any]) -> Request:
        """To a model, not through a Router."""
        model = str(arguments.get("model") or "")
        name = name_of(arguments.get("base_model") or model)

        def use(cheaper: str) -> None:
            prefix = "" if "/" in cheaper else model[: -len(name_of(model))]
            arguments["model"] = prefix + cheaper

        return cls(conductor, arguments, {model: name}, use)

    @property
    def streams(self) -> bool:
        return self.arguments.get("stream") is True

    def ask_usage(self) -> bool:
        """A stream tells what it has used only where it is asked to. Whether the caller has not."""
        options = mapping(self.arguments.get("stream_options"))
        if options.get("include_usage") is True:
            return False
        self.arguments["stream_options"] = {**options, "include_usage": True}
        return True

    def used(self, answer: Any) -> Usage | None:
        """What a whole answer says."""
        self.told(answer)
        for choice in getattr(answer, "choices", None) or ():
            _seen(self.call, choice.message)
        return usage_of(answer)

    def told(self, answer: Any) -> None:
        """Which model has answered, or is about to: a Router or a fallback may turn to another."""
        model = mapping(getattr(answer, "_hidden_params", None)).get("litellm_model_name")
        if isinstance(model, str) and model and model != self.arguments.get("model"):
            self.call.answered_by(self._names.get(model) or name_of(model))


def name_of(model: str) -> str:
    """A model's own name, without the provider's."""
    return model.rpartition("/")[2]


class Opened:
    """A stream that is asked for what it uses.

    Attributes:
        stream: of LiteLLM.
        hides: whether the caller has not asked for it.
    """

    def __init__(self, request: Request) -> None:
        self.hides = request.ask_usage()
        self.stream: Any = None
        self._request, self._looked_at = request, 0

    def by(self, stream: Any) -> Any:
        self.stream = stream
        self._request.told(stream)
        return stream

    def read(self, call: ModelCall, chunk: Any) -> None:
        """What Anthropic says of the input at its beginning LiteLLM keeps to itself, in `chunks`.
        Where a Router reads from another stream, that one is noted as `loco_inner`."""
        self._request.told(self.stream)  # a Router may turn to another model before the first text
        for choice in chunk.choices:
            _seen(call, choice.delta)
        inner = getattr(self.stream, "loco_inner", self.stream)
        kept = (getattr(inner, "chunks", None) or [])[self._looked_at :]
        self._looked_at += len(kept)
        for each in (*kept, chunk):
            usage = usage_of(each)
            if usage is not None and usage.prompt_tokens:
                call.used(usage)


def only_usage(chunk: Any) -> bool:
    """Whether it has been sent for nothing else."""
    if getattr(chunk, "usage", None) is None:
        return False
    return not any(
        choice.finish_reason or choice.delta.content or choice.delta.tool_calls
        for choice in chunk.choices
    )


def usage_of(answer: Any) -> Usage | None:
    """Here the input includes what was read from a cache and written to one, of every provider."""
    usage = getattr(answer, "usage", None)
    if usage is None or not usage.total_tokens:
        return None
    raw = usage.model_dump()
    details = dict(mapping(raw.get("prompt_tokens_details")))
    written = details.get("cache_write_tokens") or details.get("cache_creation_tokens")
    raw["prompt_tokens_details"] = {**details, "cache_write_tokens": written}
    return Usage.of_openai(raw)


def _seen(call: ModelCall, message: Any) -> None:
    call.seen(message.content)
    call.seen(getattr(message, "reasoning_content", None))
    for tool in message.tool_calls or ():
        call.seen(tool.function.arguments)


def _prompt(arguments: Mapping[str, Any]) -> Iterator[Any]:
    for name in _TOLD:
        value = arguments.get(name)
        if isinstance(value, str):
            yield value
        for item in value if isinstance(value, list | tuple) else ():
            yield item.model_dump() if hasattr(item, "model_dump") else item
