"""What one process has put into Redis for all: agents and rules. They survive an emptied server."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from loco_redis.errors import BackendError, LocoRedisError
from loco_redis.governance._refusals import error_of
from loco_redis.governance._rules import cap, packed, stored_rules
from loco_redis.models import Agent

if TYPE_CHECKING:
    from loco_redis._session import Session

_log = logging.getLogger("loco_redis")


class Belongings:
    """The agents that were registered, and the rules that were set, by one session's owner.

    Attributes:
        rules: each gives fields and values of `rules`, as its owner defines them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._agents: dict[str, Agent] = {}
        self.rules: list[Callable[[], dict[bytes, bytes]]] = []

    async def register(self, agent: Agent) -> None:
        """Make it known, by its cap, too."""
        await self._register(agent)
        self._agents[agent.agent_id] = agent
        if agent.max_concurrency is not None:
            session, changes = self._session, packed(_cap_of(agent))
            await session.once(session.scripts.govern, is_repeatable=True, changes=changes)

    def forget(self, agent_id: str) -> None:
        self._agents.pop(agent_id, None)

    async def restore_rules(self) -> None:
        """The server was emptied: ours come back before anybody is let in; what others have set
        since then stays."""
        mine = {field: value for rules in self.rules for field, value in rules().items()}
        for agent in self._agents.values():
            if agent.max_concurrency is not None:
                mine |= _cap_of(agent)
        session, ledger = self._session, self._session.ledger
        try:
            known = await stored_rules(session, mine)
            lost = {field: value for field, value in mine.items() if known[field] is None and value}
            if lost:
                sequence = ledger.mint()
                command = session.scripts.govern(
                    session=ledger.session,
                    floor=ledger.floor,
                    seen=ledger.seen,
                    sequence=sequence,
                    changes=packed(lost),
                )
                try:
                    await session.outbox.send(command, session.backend_timeout)
                finally:
                    ledger.answered(sequence)
        except BackendError as error:
            _log.warning("rules of %r could not be restored: %s", session.name, error)

    async def restore_agents(self) -> None:
        for agent in [*self._agents.values()]:
            with contextlib.suppress(LocoRedisError):
                await self._register(agent)

    async def _register(self, agent: Agent) -> None:
        session, name = self._session, agent.agent_id.encode()
        reply, _ = await session.once(
            session.scripts.register, is_repeatable=True, agent=name, agent_type=agent.agent_type
        )
        if reply.refusal is not None:
            raise error_of(reply.refusal, agent.agent_id)


def _cap_of(agent: Agent) -> dict[bytes, bytes]:
    return cap(agent.agent_id.encode(), agent.max_concurrency)
