"""AgentScheduler: the same for code without an event loop."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

from loco_redis._loop_thread import LoopThread
from loco_redis.orchestration.agents._handlers import AgentHandler
from loco_redis.orchestration.agents.async_scheduler import AsyncAgentScheduler
from loco_redis.orchestration.agents.settings import AgentSchedulerConfig


class AgentScheduler:
    """`AsyncAgentScheduler` whose methods block; many threads share one.

    Takes the same arguments, but for `redis`, which must be a URL. It runs in a thread of its own,
    and so do async handlers: they must not block, and cannot call it. Use it by `with`, or `start`
    and `stop` it; for one use.
    """

    def __init__(
        self,
        config: AgentSchedulerConfig | None = None,
        *,
        config_path: str | os.PathLike[str] | None = None,
        handlers: Mapping[str, AgentHandler] | None = None,
        serve: bool = True,
        redis: str | None = None,
    ) -> None:
        self._core = AsyncAgentScheduler(
            config, config_path=config_path, handlers=handlers, serve=serve, redis=redis
        )
        self._thread = LoopThread(f"agents.{self.config.redis.resource}")

    def __repr__(self) -> str:
        return repr(self._core).replace("AsyncAgentScheduler", "AgentScheduler", 1)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def config(self) -> AgentSchedulerConfig:
        return self._core.config

    def start(self) -> None:
        """As `AsyncAgentScheduler.start`."""
        self._core._guard.check()
        try:
            self._thread.run(self._core.start())
        except BaseException:
            self._thread.stop()
            raise

    def send_message(
        self,
        agent_id: str,
        message: Any,
        *,
        timeout: float | None = None,
        weight: float | None = None,
        key: str | None = None,
    ) -> Any:
        """As `AsyncAgentScheduler.send_message`. A handler that runs in a thread may call it, but
        holds its own slot while it waits."""
        self._core._running()
        return self._thread.run(
            self._core.send_message(agent_id, message, timeout=timeout, weight=weight, key=key)
        )

    def stop(self, grace: float = 30.0) -> None:
        """As `AsyncAgentScheduler.stop`, and end the thread."""
        self._core._guard.check()
        try:
            self._thread.run(self._core.stop(grace), finish=True)
        finally:
            self._thread.end()

    def run(self, grace: float = 30.0) -> None:
        """Serve until SIGTERM or SIGINT (Ctrl-C), then `stop`: the whole of a process that only
        serves. For the main thread.

        Raises:
            What `start` and `stop` raise.
        """
        over: SimpleQueue[None] = SimpleQueue()  # an Event could deadlock in a signal handler

        def end(number: int, frame: FrameType | None) -> None:
            over.put(None)

        before = {n: signal.signal(n, end) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.start()
            try:
                self._core.when_ended(lambda: over.put(None))
                over.get()
            finally:
                self.stop(grace)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
