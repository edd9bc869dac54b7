"""What the adapters of SDKs share: a scheduler, options, and a client to wrap."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, TypeVar, Unpack, cast

from loco_redis import _validate as validate
from loco_redis.adapters._calls.call import CallArguments, CallOptions
from loco_redis.adapters._calls.http_call import agent_header
from loco_redis.adapters._calls.schedulers import Given, plain_scheduler
from loco_redis.blocking import LOCOScheduler

C = TypeVar("C")


class Adapter(ABC):
    """Lets the calls of an SDK's clients wait for slots.

    Args:
        scheduler: whose slots are taken: an AsyncLOCOScheduler for async clients, a LOCOScheduler
            for plain ones; None: the one that `loco_redis.configure` made.
        client: the SDK's client that `client` and the methods here use; None: one made from the
            environment (API key, base URL), async unless `scheduler` is a LOCOScheduler.
        options: as in CallArguments.

    A call raises what `acquire` raises, before any request leaves, and else what the SDK raises.

    Raises:
        ValueError: any of them out of range.
    """

    def __init__(
        self,
        scheduler: Given = None,
        client: Any = None,
        **options: Unpack[CallArguments],
    ) -> None:
        plain_scheduler(scheduler)  # a ValueError at once
        self._scheduler: Any = scheduler
        self._options = CallOptions.of(**options)
        self._client = None if client is None else self.wrap(client)

    def __repr__(self) -> str:
        scheduler = "the configured scheduler" if self._scheduler is None else self._scheduler
        return f"<{type(self).__name__} of {scheduler}>"

    @property
    def client(self) -> Any:
        """The scheduled client.

        Raises:
            ModuleNotFoundError: the SDK is not installed.
        """
        if self._client is None:
            self._client = self.wrap(self._made(isinstance(self._scheduler, LOCOScheduler)))
        return self._client

    def wrap(self, client: C) -> C:
        """A copy of the client whose calls are scheduled, to be used as before. The two share their
        connections; the one given is not changed.

        Raises:
            ValueError: not a client of the SDK, or not of the scheduler's kind.
            ModuleNotFoundError: the SDK is not installed.
        """
        return cast(C, self._wrapped(client))

    @abstractmethod
    def _wrapped(self, client: Any) -> Any:
        """What `wrap` gives."""

    @abstractmethod
    def _made(self, blocking: bool) -> Any:
        """A client made from the environment."""


def for_agent(agent_id: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an SDK's call, made for this agent. Raises ValueError for a bad id."""
    headers = {**(arguments.get("extra_headers") or {}), **agent_header(agent_id)}
    return {**arguments, "extra_headers": headers}


def is_async(client: Any) -> bool:
    """Whether it is the kind of client whose calls are awaited."""
    return inspect.iscoroutinefunction(client.close)


def wrong_client(client: object, kinds: str) -> ValueError:
    return ValueError(f"client must be {kinds}, got {validate.shown(client)}")
