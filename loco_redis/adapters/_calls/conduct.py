"""Calls that a framework makes, each in its passage: whole answers, and answers that stream."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar, Unpack

from loco_redis.adapters._calls.call import CallArguments, CallOptions
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.passage import BlockingPassage, Passage
from loco_redis.adapters._calls.schedulers import Given, async_scheduler, plain_scheduler
from loco_redis.adapters._calls.streams import AsyncStream, Read, Stream
from loco_redis.adapters._calls.telling import context_of, tell_failure, tell_use
from loco_redis.adapters.usage import Usage

R = TypeVar("R")
C = TypeVar("C")


class Conductor:
    """Makes the calls of one framework, and takes them through their slots.

    Args:
        framework: begins the tasks' type.
        scheduler: an AsyncLOCOScheduler (for async calls, and for plain ones in other threads than
            its loop's), a LOCOScheduler (for plain calls), or None: the configured one of the
            call's kind.
        options: as in CallArguments.
    """

    def __init__(
        self, framework: str, scheduler: Given = None, **options: Unpack[CallArguments]
    ) -> None:
        self.framework, self.scheduler = framework, scheduler
        self.options = CallOptions.of(**options)
        plain_scheduler(scheduler)  # a ValueError at once

    def call(
        self,
        model: str,
        prompt: object,
        max_output_tokens: int | None = None,
        *,
        agent_id: str | None = None,
        use: Callable[[str], None] | None = None,
    ) -> ModelCall:
        """As ModelCall, in the calling context."""
        return ModelCall(
            self.options,
            self.framework,
            model,
            prompt,
            max_output_tokens,
            agent_id=agent_id,
            use=use,
        )

    async def ask(
        self, call: ModelCall, send: Callable[[], Awaitable[R]], used: Callable[[R], Usage | None]
    ) -> R:
        """The whole answer that `send` brings; `used` finds in it what it has used.

        Raises what `acquire` raises, before anything is sent, and what `send` raises.
        """
        passage = Passage(async_scheduler(self.scheduler)(), call)
        await passage.begin()
        try:
            with context_of(passage):
                answer = await send()
        except BaseException as error:
            tell_failure(passage, error)
            await passage.end(error)
            raise
        tell_use(call, lambda: call.used(used(answer)))
        call.ended()
        await passage.end()
        return answer

    def ask_blocking(
        self, call: ModelCall, send: Callable[[], R], used: Callable[[R], Usage | None]
    ) -> R:
        """The same for plain code."""
        passage = BlockingPassage(plain_scheduler(self.scheduler)(), call)
        passage.begin()
        try:
            with context_of(passage):
                answer = send()
        except BaseException as error:
            tell_failure(passage, error)
            passage.end(error)
            raise
        tell_use(call, lambda: call.used(used(answer)))
        call.ended()
        passage.end()
        return answer

    def stream(
        self,
        call: ModelCall,
        open: Callable[[], AsyncIterator[C] | Awaitable[AsyncIterator[C]]],
        read: Read[C],
    ) -> AsyncStream[C]:
        """The chunks of the answer that `open` begins."""
        return AsyncStream(Passage(async_scheduler(self.scheduler)(), call), call, open, read)

    @contextlib.asynccontextmanager
    async def within(
        self,
        call: ModelCall,
        open: Callable[[], AbstractAsyncContextManager[R]],
        read: Callable[[ModelCall, R], None],
    ) -> AsyncIterator[R]:
        """The answer that `open` enters, its slot held until it is left; asked then, `read` tells
        what has come of it. Dropped without being left, it is left by the event loop."""
        passage = Passage(async_scheduler(self.scheduler)(), call)
        await passage.begin()
        failed: BaseException | None = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                with context_of(passage):
                    answer = await stack.enter_async_context(open())
                call.began()
                try:
                    yield answer
                finally:
                    tell_use(call, lambda: read(call, answer))
        except GeneratorExit:  # dropped: not an error
            raise
        except BaseException as error:
            failed = error
            tell_failure(passage, error)
            raise
        finally:
            await passage.end(failed)

    def stream_blocking(
        self, call: ModelCall, open: Callable[[], Iterator[C]], read: Read[C]
    ) -> Stream[C]:
        """The same for plain code."""
        return Stream(BlockingPassage(plain_scheduler(self.scheduler)(), call), call, open, read)
