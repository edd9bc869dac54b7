"""One call of a LangChain chat model: what it asks for, and of which model in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters.langchain._reading import agent_of_graph, prompt_of

#: Where chat models keep the name of their model.
_NAMES = ("model_name", "model", "model_id")

#: Arguments of a hook that are not the request's.
_NOT_ASKED = frozenset({"run_manager", "stop"})


class Request:
    """Of the run of a hook: `call` is what is scheduled, `send` makes it."""

    def __init__(
        self, conductor: Conductor, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._model, self._args, self._kwargs = model, args, kwargs
        asked = {name: value for name, value in kwargs.items() if name not in _NOT_ASKED}
        about = model._get_ls_params(**asked)  # as LangChain itself does for its traces
        self._name = about.get("ls_model_name") or ""
        self._field = next((name for name in _NAMES if self._keeps(name)), None)
        in_request = "model" in asked
        messages = args[0] if args else kwargs["messages"]
        self.call = conductor.call(
            self._name,
            prompt_of(messages, asked),
            about.get("ls_max_tokens"),
            agent_id=agent_of_graph(),
            use=self._use if in_request or self._field else None,
        )

    def _keeps(self, field: str) -> bool:
        is_field = field in type(self._model).model_fields
        return is_field and getattr(self._model, field) == self._name

    def _use(self, cheaper: str) -> None:
        if "model" in self._kwargs:
            self._kwargs["model"] = cheaper
        else:
            self._model = self._model.model_copy(update={self._field: cheaper})

    def ask_usage(self) -> None:
        """OpenAI's streams report it if asked; LangChain asks only where the URL is OpenAI's own,
        or `stream_usage` was set."""
        if getattr(self._model, "stream_usage", True) is None:
            self._model = self._model.model_copy(update={"stream_usage": True})

    def send(self, hook: Callable[..., Any]) -> Any:
        """What the model does by the hook that its class had."""
        return hook(self._model, *self._args, **self._kwargs)
