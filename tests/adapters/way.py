"""One async way of a call to its provider, on which all cases of `async_cases.py` are run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar

from loco_redis import AsyncLOCOScheduler
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.asks import Ask
from tests.adapters.settled import Figures, reported


class Way(ABC):
    """A scheduled client.

    Attributes:
        ask: what it calls.
        status_error: what it raises for an error of the provider.
        wraps: whether it raises a refusal as the cause of an error of its own.
        lazy: whether a stream takes its slot with its first piece, not when it is opened.
    """

    ask: ClassVar[type[Ask]]
    status_error: ClassVar[type[Exception]]
    wraps: ClassVar[bool] = False
    lazy: ClassVar[bool] = False

    def __init__(
        self,
        provider: FakeProvider,
        scheduler: AsyncLOCOScheduler,
        max_retries: int = 0,
        **options: Any,
    ) -> None:
        self.provider, self.scheduler = provider, scheduler
        self.max_retries, self.options = max_retries, options

    @abstractmethod
    async def call(self, **more: Any) -> str:
        """The text of a whole answer."""

    @abstractmethod
    async def open(self, **more: Any) -> Any:
        """A stream, not read yet."""

    @abstractmethod
    def texts(self, stream: Any) -> AsyncIterator[str]:
        """The pieces of text that come by it."""

    @abstractmethod
    async def close(self, stream: Any) -> None: ...

    @abstractmethod
    async def aclose(self) -> None:
        """Close the client."""

    @property
    def calls(self) -> tuple[Callable[..., Awaitable[Any]], ...]:
        """The two that take a slot at once: for a whole answer, and for a stream."""
        return self.call, self.read if self.lazy else self.open

    async def read(self, **more: Any) -> str:
        """The whole text of a stream."""
        stream = await self.open(**more)
        return "".join([text async for text in self.texts(stream)])

    def expected(self) -> Figures:
        """Tokens and cost, by what the provider has said."""
        return reported(self.provider)
