"""AgentCall: what a handler is given besides the message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loco_redis.lease import Lease
from loco_redis.orchestration.agents.settings import AgentSection
from loco_redis.orchestration.routing import Route

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class AgentCall:
    """One attempt at one message.

    Attributes:
        settings: of the agent, as they stand in the configuration.
        lease: the slot that is held meanwhile, and the message's task.
        route: the backend that was chosen for it; None without `backends`.
    """

    settings: AgentSection
    lease: Lease
    route: Route | None = None

    @property
    def id(self) -> str:
        """Of the agent."""
        return self.settings.id

    @property
    def model(self) -> str | None:
        """The backend's, else the agent's."""
        if self.route is not None and self.route.backend.model is not None:
            return self.route.backend.model
        return self.settings.model

    @property
    def task_id(self) -> str:
        """Of the message: the same in all attempts, so fit for an idempotency key."""
        task_id = self.lease.task.task_id
        assert task_id is not None
        return task_id

    @property
    def attempt(self) -> int:
        """From 1: whoever began before may have done all of it."""
        return self.lease.task.attempt

    @property
    def token(self) -> int:
        """The fencing token of this attempt."""
        return self.lease.token

    @property
    def client(self) -> httpx.AsyncClient:
        """The HTTP client of the backend, which all calls of this process share.

        Raises:
            RuntimeError: the configuration has no backends.
            ModuleNotFoundError: httpx is not installed; says how to install it.
        """
        if self.route is None:
            raise RuntimeError("the configuration has no backends: there is no client to one")
        return self.route.client
