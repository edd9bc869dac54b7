"""What a policy is: one of the user's own, or one that Redis enforces by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from loco_redis import _hashes as hashes
from loco_redis import _validate as validate
from loco_redis.governance._refusals import error_of
from loco_redis.governance._rules import REMOVED, Governor, govern
from loco_redis.models import Task, given

if TYPE_CHECKING:
    from loco_redis._session import Session


class Policy(ABC):
    """A rule of your own, which this process applies before it asks Redis. Give it a `name`."""

    name: str = ""

    @abstractmethod
    def check(self, agent_id: str, task: Task) -> Awaitable[None] | None:
        """May the agent do this task? Sync or async.

        Raises:
            PolicyViolationError: it may not.
        """

    def record(self, agent_id: str, task: Task) -> Awaitable[None] | None:
        """The agent has completed the task. Sync or async."""
        return None

    def summary(self) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """What to show of it. Sync or async."""
        return {}


class BuiltInPolicy(Policy, Governor):
    """A policy that is kept in Redis as rules; the scripts enforce it on the whole fleet, as part
    of admission. What this object defines is set when its scheduler opens, over what was there."""

    _option = "enforcer=PolicyEnforcer([{}])"
    #: The field of `rules` for all agents, or nothing, and the prefix of those for one agent each.
    _common: bytes = b""
    _own: bytes

    async def check(self, agent_id: str, task: Task) -> None:
        """Ask Redis whether it would let the task in now: all its rules, not only this policy's.

        Raises:
            PolicyViolationError, TenantLimitError: it would not.
        """
        await check_in_redis(await self._session(), agent_id, task)

    async def _stored(self, session: Session) -> tuple[bytes | None, dict[str, bytes]]:
        """The rule for all agents, and those of single ones."""
        key, common = session.scripts.keys.rules, None
        if self._common:
            common = await hashes.get(session, key, self._common)
        own = await hashes.scan(session, key, self._own + b"*")
        return common, {field[1:].decode(): value for field, value in own.items()}

    async def _uninstall(self, session: Session) -> None:
        """Take all rules of this kind out of Redis."""
        self._forget(session)
        _, own = await self._stored(session)
        fields = [self._own + agent.encode() for agent in own]
        if self._common:
            fields.append(self._common)
        await govern(session, dict.fromkeys(fields, REMOVED))


async def check_in_redis(session: Session, agent_id: str, task: Task) -> None:
    """Raise what an acquire would raise now."""
    agent, weight = validate.agent_id(agent_id), validate.weight(task.weight)
    reply = await session.read(session.scripts.check(agent=agent, weight=weight, given=given(task)))
    if reply.refusal is not None:
        raise error_of(reply.refusal, agent_id)
