"""AsyncAgentScheduler: messages to agents and their replies, across processes, through Redis."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from loco_redis import _validate as validate
from loco_redis._endpoint import AsyncClient, Endpoint, resolve
from loco_redis._fork import ForkGuard
from loco_redis._tasks import end
from loco_redis.backoff import Backoff
from loco_redis.errors import ShutdownError
from loco_redis.models import Task
from loco_redis.orchestration.agents._file import load
from loco_redis.orchestration.agents._handlers import (
    AgentHandler,
    check_given,
    handlers_of,
    unknown,
)
from loco_redis.orchestration.agents._messages import dedup_key_of, packed
from loco_redis.orchestration.agents._parts import core_of, router_of
from loco_redis.orchestration.agents._senders import Senders
from loco_redis.orchestration.agents._serving import Serving
from loco_redis.orchestration.agents.settings import AgentSchedulerConfig, AgentSection
from loco_redis.orchestration.routing import Router
from loco_redis.scheduler import AsyncLOCOScheduler

_YEAR = 366 * 86_400.0
_REMEMBERED = 10_000  # replies that senders of this process may still wait for

_log = logging.getLogger("loco_redis")


class AsyncAgentScheduler:
    """Sends messages to agents and, with `serve`, handles those of all processes in this one.

    Use it by `async with`, or `start` and `stop` it; for one use. It belongs to the event loop that
    started it, and to the process. A message is handled at least once: again by another process
    if its first one dies. All processes have the same configuration.

    Args:
        config: an `AgentSchedulerConfig`; or
        config_path: a YAML file with one (docs/agent_scheduler.md).
        handlers: `handler(message, call)` by agent id, by model, or "*" for all others; it may be
            async, else it runs in a thread. Those of an agent's id go before the `handler` in the
            configuration, the others after it.
        serve: False in a process that only sends.
        redis: in place of where the configuration says: a URL, or a redis.asyncio client.

    Raises:
        ConfigFileError: the file is wrong; each complaint has line and column.
        ValueError: other bad arguments.
    """

    def __init__(
        self,
        config: AgentSchedulerConfig | None = None,
        *,
        config_path: str | os.PathLike[str] | None = None,
        handlers: Mapping[str, AgentHandler] | None = None,
        serve: bool = True,
        redis: str | AsyncClient | None = None,
    ) -> None:
        if (config is None) == (config_path is None):
            raise ValueError("give a config or a config_path, one of them")
        if config_path is not None:
            config = load(config_path)
        if not isinstance(config, AgentSchedulerConfig):
            raise ValueError(
                f"config must be an AgentSchedulerConfig, got {validate.shown(type(config))}"
            )
        self.config, self._given = config, dict(handlers or {})
        check_given(config, self._given)
        self._serve = serve
        self._endpoint: Endpoint = resolve(config.redis.where() if redis is None else redis)
        self._agents = {agent.id: agent for agent in config.agents}
        self._guard = ForkGuard(config.redis.resource)
        self._core: AsyncLOCOScheduler | None = None
        self._router: Router | None = None
        self._serving_half: Serving | None = None
        self._serving: asyncio.Task[None] | None = None
        self._senders = Senders()
        self._answered: deque[str] = deque(maxlen=_REMEMBERED)  # here: their replies are in Redis
        self._stopped, self._over = False, asyncio.Event()

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else "not started" if self._core is None else "running"
        lanes = "" if self._serving_half is None or self._stopped else f" {self._serving_half!r}"
        return (
            f"<{type(self).__name__} {self.config.redis.resource!r} at {self._endpoint.redacted} "
            f"{state}, {len(self._agents)} agents{lanes}>"
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect, register the agents, and serve. Does nothing when it is started.

        Raises:
            ValueError: an agent has no handler here, or it cannot be imported.
            ShutdownError: it was stopped.
            ConfigMismatchError: Redis has another capacity for the resource. BackendError.
        """
        self._guard.check()
        if self._stopped:
            raise ShutdownError(self.config.redis.resource)
        if self._core is not None:
            return
        handlers = handlers_of(self.config, self._given) if self._serve else {}
        self._core = core = core_of(self.config, self._endpoint)
        try:
            await core.__aenter__()
            if self._serve:
                self._router = router_of(self.config, self._endpoint)
                note = self._answered.append
                self._serving_half = Serving(core, self.config, handlers, self._router, note)
                self._serving = asyncio.create_task(
                    self._serving_half.run(), name="loco_redis.agents.serving"
                )
                self._serving.add_done_callback(self._ended)
        except BaseException:
            await self._close()
            self._core = self._router = None
            raise

    async def stop(self, grace: float = 30.0) -> None:
        """Take no more messages, let those at work end for `grace` seconds, then cancel them: they
        go back without an attempt being counted. Senders here whose messages wait for other
        processes get ShutdownError. Idempotent.

        Raises:
            What ended the serving before, if anything did.
        """
        validate.seconds("grace", grace, 0, 86_400)
        self._guard.check()
        if self._stopped:
            await self._over.wait()
            return
        self._stopped = True
        serving = self._serving
        try:
            if self._serving_half is not None:
                await self._serving_half.drain(grace)
            await end(serving)
            if self._core is not None:
                answered = frozenset(self._answered)
                await self._senders.part(self._core, answered, self.config.redis.backend_timeout)
        finally:
            await end(serving)
            await self._close()
            self._over.set()
        if serving is not None and not serving.cancelled() and (error := serving.exception()):
            raise error

    async def send_message(
        self,
        agent_id: str,
        message: Any,
        *,
        timeout: float | None = None,
        weight: float | None = None,
        key: str | None = None,
    ) -> Any:
        """The reply of the agent's handler, wherever it ran.

        Args:
            message: a JSON value, up to 1 MiB.
            timeout: seconds to wait for the reply; None: as long as it takes.
            weight: how much of the agents' turns it is worth; None: the agent's.
            key: of an idempotent message: while one with this key lives or its reply is kept
                (`result_ttl`), the agent gets it once and all senders have the same reply.

        Raises:
            ValueError: bad arguments, an agent that the configuration does not have.
            TaskFailedError: the handler raised in each of `max_attempts`; `reason` says what.
            ReplyTimeoutError: no reply within the timeout. Without a key the message is taken
                back then, as it is when the sender is cancelled, unless it is at work.
            UnknownTaskError: an operator has cancelled it.
            ShutdownError: stopped, perhaps meanwhile. RuntimeError: not started. BackendError.
        """
        agent = self._agent(agent_id)
        if timeout is not None:
            validate.seconds("timeout", timeout, 0, _YEAR)
        task = self._task(agent, message, weight)
        dedup_key = None if key is None else dedup_key_of(agent.id, key)
        core = self._running()
        started = asyncio.get_running_loop().time()
        ttl = self.config.redis.result_ttl
        task_id = await self._senders.submit(core, agent.id, task, dedup_key, ttl)
        until = math.inf if timeout is None else started + timeout
        return await self._senders.reply(core, agent.id, task_id, key is not None, until)

    def _agent(self, agent_id: str) -> AgentSection:
        validate.agent_id(agent_id)
        if (agent := self._agents.get(agent_id)) is None:
            said = unknown(agent_id, {*self._agents}, "agents")
            raise ValueError(f"no agent {validate.shown(agent_id)} is configured: {said}")
        return agent

    def _task(self, agent: AgentSection, message: Any, weight: float | None) -> Task:
        return Task(
            weight=agent.weight if weight is None else weight,
            payload=packed(message),
            max_attempts=agent.max_attempts,
            backoff=Backoff(agent.backoff.base, agent.backoff.cap),
            model=agent.model,
        )

    def _running(self) -> AsyncLOCOScheduler:
        self._guard.check()
        if self._core is None and not self._stopped:
            raise RuntimeError("the scheduler is not started: call start(), or use it by `with`")
        if self._core is None or self._stopped:
            raise ShutdownError(self.config.redis.resource)
        return self._core

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Call `tell` when this process serves no more, in the thread of the loop."""
        if self._serving is not None:
            self._serving.get_loop().call_soon_threadsafe(
                self._serving.add_done_callback, lambda _: tell()
            )

    def _ended(self, serving: asyncio.Task[None]) -> None:
        if not serving.cancelled() and (error := serving.exception()) is not None:
            _log.error("%r serves no more: %s", self, error)

    async def _close(self) -> None:
        try:
            if self._router is not None:
                await self._router.aclose()
        finally:
            if self._core is not None:
                await self._core.aclose()
