"""A budget of which only the mode is given: whatever limits are stored, they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loco_redis.governance import BudgetManager
from loco_redis.governance._rules import REMOVED, govern, stored_rules

if TYPE_CHECKING:
    from loco_redis._session import Session

_NOTHING_SET = b"|r|"  # what holds without a rule: no default limit, reject, no period


class BudgetMode(BudgetManager):
    """Sets the mode when its scheduler opens, "reject" too where another one is stored; default
    limit and period stay as somebody else has set them."""

    def __init__(self, mode: str) -> None:
        super().__init__(on_exceeded=mode)

    async def _install(self, session: Session) -> None:
        session.belongings.rules.append(self._rules)
        stored = (await stored_rules(session, [b"b"]))[b"b"] or _NOTHING_SET
        default, mode, period = stored.split(b"|")
        mine = self._policy.on_exceeded[0].encode()
        if mode != mine:
            rule = b"|".join((default, mine, period))
            await govern(session, {b"b": REMOVED if rule == _NOTHING_SET else rule})
