"""LiteLLM's functions, each call of which waits for its slot."""

from __future__ import annotations

from typing import Any, Unpack

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.scheduled import Scheduled
from loco_redis.adapters._calls.schedulers import Given
from loco_redis.adapters.litellm._request import Request
from loco_redis.adapters.litellm._router import scheduled_router
from loco_redis.adapters.litellm._streams import ask, ask_blocking

_FUNCTIONS = ("acompletion", "completion", "aembedding", "embedding")


class LiteLLMAdapter:
    """Its functions are those of LiteLLM, with the same arguments; each call waits until its
    agent's turn has come.

    Args:
        scheduler: an AsyncLOCOScheduler (for async calls, and for plain ones in other threads than
            its loop's), a LOCOScheduler (for plain calls), or None: the configured one.
        options: as in CallArguments. Models have their own names there, without the provider's:
            `gpt-5`, not `openai/gpt-5`.

    A call raises what `acquire` raises, before anything is sent, and else what LiteLLM raises.

    Raises:
        ValueError: any of them out of range.
        ModuleNotFoundError: LiteLLM is not installed.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        self._litellm = need("litellm", "litellm")
        self._conductor = Conductor("litellm", scheduler, **options)

    def __repr__(self) -> str:
        scheduler = self._conductor.scheduler
        return f"<LiteLLMAdapter of {scheduler or 'the configured scheduler'}>"

    async def acompletion(self, model: str, messages: Any = (), **arguments: Any) -> Any:
        """`litellm.acompletion`. A stream has its slot from when it is given here until it has been
        read, closed or dropped."""
        return await self._ask("acompletion", model=model, messages=messages, **arguments)

    def completion(self, model: str, messages: Any = (), **arguments: Any) -> Any:
        """`litellm.completion`, the same."""
        return self._ask_blocking("completion", model=model, messages=messages, **arguments)

    async def aembedding(self, model: str, input: Any = (), **arguments: Any) -> Any:
        """`litellm.aembedding`."""
        return await self._ask("aembedding", model=model, input=input, **arguments)

    def embedding(self, model: str, input: Any = (), **arguments: Any) -> Any:
        """`litellm.embedding`."""
        return self._ask_blocking("embedding", model=model, input=input, **arguments)

    def router(self, router: Any) -> Any:
        """A copy of a Router, with the same deployments, each attempt of whose `acompletion`,
        `completion`, `aembedding` and `embedding` has a slot: retries and fallbacks take a new one,
        and wait for them without one.

        Raises:
            ValueError: not a Router.
        """
        if not isinstance(router, self._litellm.Router):
            raise ValueError(f"router must be a litellm.Router, got {validate.shown(router)}")
        return scheduled_router(router, self._conductor)

    def wrap(self, target: Any) -> Any:
        """A Router, as `router`; or the module `litellm` itself: what is like it, but for the
        functions of this adapter.

        Raises:
            ValueError: neither.
        """
        return _Module(self, target) if target is self._litellm else self.router(target)

    async def _ask(self, function: str, **arguments: Any) -> Any:
        request = Request.plain(self._conductor, arguments)
        return await ask(self._conductor, request, getattr(self._litellm, function))

    def _ask_blocking(self, function: str, **arguments: Any) -> Any:
        request = Request.plain(self._conductor, arguments)
        return ask_blocking(self._conductor, request, getattr(self._litellm, function))


class _Module(Scheduled):
    """The module, its functions scheduled."""

    def __init__(self, adapter: LiteLLMAdapter, module: Any) -> None:
        self._inner = module
        for name in _FUNCTIONS:
            setattr(self, name, getattr(adapter, name))
