"""How agents and tenants stand: their accounts, and the limits on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loco_redis._replies import Status
from loco_redis.governance._rules import scopes

if TYPE_CHECKING:
    from loco_redis._replies import Standing
    from loco_redis._session import Session

_COUNT = 1000  # looked at by one call


async def standing(session: Session, scope: bytes) -> Standing:
    """How an agent (`a<agent>`) or a tenant (`t<tenant>`) stands now."""
    (found,) = await standings(session, [scope])
    return found


async def standings(session: Session, names: list[bytes]) -> list[Standing]:
    """The same for many, in their order."""
    found: list[Standing] = []
    for start in range(0, len(names), _COUNT):
        found += await _standings(session, names[start : start + _COUNT])
    return found


async def all_standings(session: Session) -> list[Standing]:
    """Of all agents and tenants that have an account, at most 10,000."""
    return await _standings(session, [])


async def _standings(session: Session, names: list[bytes]) -> list[Standing]:
    command = session.scripts.standing(scopes=scopes(*names))
    while (reply := await session.read(command)).status is Status.UNCONFIGURED:
        # The server has been emptied; nobody has noticed yet.
        session.expire(session.ledger)
        await session.until_open()
    return [*reply.standings]


def left_of(account: Standing) -> float | None:
    """What may still be spent, at least 0.0; None without a limit."""
    limit = account.limit
    return None if limit is None else max(0.0, round(limit - account.used, 3))
