"""The serving half of a process: each message to its agent's handler, in lanes that follow the
backlog."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from loco_redis._tasks import end
from loco_redis.errors import BackendError
from loco_redis.lease import Lease
from loco_redis.orchestration._calling import Threads
from loco_redis.orchestration._lanes import Lanes
from loco_redis.orchestration.agents._handlers import AgentHandler
from loco_redis.orchestration.agents._messages import unpacked
from loco_redis.orchestration.agents._scaling import Scaling, backlog
from loco_redis.orchestration.agents.call import AgentCall
from loco_redis.orchestration.agents.settings import AgentSchedulerConfig
from loco_redis.orchestration.routing import Route, Router
from loco_redis.scheduler import AsyncLOCOScheduler

_NOT_MINE = 1.0  # seconds for which a message rests whose agent this process does not know
_LOOKS = 10  # at most so many looks at the backlog in each interval

_log = logging.getLogger("loco_redis")


class Serving:
    """`run` it until it is cancelled, after a `drain`.

    Args:
        answered: called with a message's task id once its reply is in Redis, or it is dead.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler,
        config: AgentSchedulerConfig,
        handlers: Mapping[str, AgentHandler],
        router: Router | None,
        answered: Callable[[str], None],
    ) -> None:
        self._scheduler, self._router, self._answered = scheduler, router, answered
        self._handlers, self._timeout = handlers, config.connection_pool.timeout
        self._agents = {agent.id: agent for agent in config.agents}
        self._without = {
            agent.id: frozenset(
                backend.name
                for backend in config.backends
                if agent.model is not None and backend.model not in (None, agent.model)
            )
            for agent in config.agents
        }
        self._settings, self._scaling = config.scaling, Scaling(config.scaling)
        self._news = asyncio.Event()
        self.lanes = Lanes(scheduler, self._handle, self._begun, self._ended)
        self._threads = Threads(config.scaling.max_agents)

    def __repr__(self) -> str:
        return repr(self.lanes)

    async def run(self) -> None:
        """Raises what waiting will not mend, such as ShutdownError or ConfigMismatchError."""
        self.lanes.resize(self._settings.min_agents)
        scaling = None
        if self._settings.min_agents < self._settings.max_agents:
            scaling = asyncio.create_task(self._scale(), name="loco_redis.agents.scaling")
        try:
            await self.lanes.run()
        finally:
            self._threads.close()
            await end(scaling)

    async def drain(self, grace: float) -> None:
        """Take no more messages; those at work have `grace` seconds to end."""
        await self.lanes.drain(grace)

    def _begun(self) -> None:
        """Once the last idle lane has got a message it is time to look."""
        if self.lanes.busy == len(self.lanes):
            self._news.set()

    def _ended(self, lease: Lease) -> None:
        task, outcome = lease.task, lease._outcome
        if outcome is None or task.task_id is None:
            return
        is_dead = outcome.kind == "f" and 0 < task.max_attempts <= task.attempt
        if outcome.kind == "c" or is_dead:
            self._answered(task.task_id)

    async def _scale(self) -> None:
        interval, clock = self._settings.interval, asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(interval / _LOOKS)
            try:
                async with asyncio.timeout(interval):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            try:
                snapshot = await self._scheduler.snapshot(limit=0)
            except BackendError as error:
                _log.debug("the backlog of %r is not known: %s", self._scheduler.name, error)
            else:
                self.lanes.resize(self._scaling.lanes(backlog(snapshot), clock()))

    async def _handle(self, lease: Lease) -> None:
        task = lease.task
        if lease.agent_id not in self._agents:
            _log.warning("agent %r is unknown here: its message is put back", lease.agent_id)
            lease._put_off(_NOT_MINE)
            return
        try:
            lease.complete(await self._reply(lease))
        except Exception as error:  # noqa: BLE001  a handler may raise anything
            _log.warning(
                "message %s to agent %r failed in attempt %d of %d: %r",
                task.task_id, lease.agent_id, task.attempt, task.max_attempts, error,
            )  # fmt: skip
            lease.fail(error)

    async def _reply(self, lease: Lease) -> Any:
        agent, message = self._agents[lease.agent_id], unpacked(lease.task.payload)
        handler = self._handlers[agent.id]
        if self._router is None:
            return await self._threads.call(handler, message, AgentCall(agent, lease))

        async def at(route: Route) -> Any:
            return await self._threads.call(handler, message, AgentCall(agent, lease, route))

        return await self._router.call(
            agent.id,
            at,
            key=agent.id,
            weight=lease.task.weight,
            attempt_timeout=self._timeout,
            exclude=self._without[agent.id],
            request_id=lease.task.task_id,
        )
