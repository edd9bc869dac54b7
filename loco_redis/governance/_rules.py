"""Rules as Redis keeps them (`lua/README.md`, Rules): fields, values, and how they are sent.

Costs and rates come in thousandths, times in microseconds; None leaves a part of a value empty.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loco_redis._replies import GrantsReply
    from loco_redis._session import Session

Use = Callable[[], Awaitable["Session"]]

MICROSECONDS = 1_000_000
LABEL_SEPARATOR = "\x1f"
REMOVED = b""


def packed(changes: Mapping[bytes, bytes]) -> bytes:
    """The `changes` of `govern`; an empty value removes."""
    return b"".join(b"%d|%b|%d|%b" % (len(k), k, len(v), v) for k, v in changes.items())


def scopes(*names: bytes) -> bytes:
    """The `scopes` of `standing`; none means every account."""
    return b"".join(b"%d|%b" % (len(name), name) for name in names)


async def stored_rules(session: Session, fields: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """Those fields of `rules` as they are stored; None where there is none."""
    asked = (*fields,)
    if not asked:
        return {}
    key = session.scripts.keys.rules
    stored = await session.outbox.send_raw(session.backend_timeout, "HMGET", key, *asked)
    return dict(zip(asked, stored.reply, strict=True))


async def govern(session: Session, changes: Mapping[bytes, bytes]) -> GrantsReply:
    """Set and remove rules, for the whole fleet."""
    reply, _ = await session.once(session.scripts.govern, changes=packed(changes))
    return reply


def budget(default: int | None, mode: str, period: str) -> dict[bytes, bytes]:
    """`mode` is r(eject), a(lert) or d(owngrade); `period` "" (never), day, month, microseconds."""
    return {b"b": _joined(default, mode, period)}


def limit(agent: bytes, most: int | None) -> dict[bytes, bytes]:
    """An agent's own budget."""
    return {b"B" + agent: _joined(most)}


def cap(agent: bytes, max_concurrency: int | None) -> dict[bytes, bytes]:
    """The most slots that an agent may hold."""
    return {b"c" + agent: _joined(max_concurrency)}


def tenant(
    name: bytes, max_agents: int | None, ceiling: int | None, max_concurrency: int | None
) -> dict[bytes, bytes]:
    return {b"t" + name: _joined(max_agents, ceiling, max_concurrency)}


def access(agent: bytes, labels: Iterable[str]) -> dict[bytes, bytes]:
    """The labels that an agent may work on."""
    return {b"a" + agent: LABEL_SEPARATOR.join(labels).encode()}


def rates(default: int | None, period: int) -> dict[bytes, bytes]:
    """Tasks in a period (microseconds), for agents without a rate of their own."""
    return {b"r": _joined(default, period)}


def rate(agent: bytes, most: int | None) -> dict[bytes, bytes]:
    return {b"R" + agent: _joined(most)}


def trust(slo_target: int, half_life: int) -> dict[bytes, bytes]:
    return {b"s": _joined(slo_target, half_life)}


def slo(target: int, window: int, warn: float, critical: float) -> dict[bytes, bytes]:
    return {b"o": _joined(target, window, repr(warn), repr(critical))}


def _joined(*parts: int | str | None) -> bytes:
    return "|".join("" if part is None else str(part) for part in parts).encode()


class Governor(ABC):
    """Base of what is passed to a scheduler and asks Redis through it.

    It sets its rules when the scheduler opens; definitions live in Redis, so the last one to set a
    rule decides for all.
    """

    #: How it is passed to a scheduler; `{}` stands for itself.
    _option: str
    _use: Use | None = None

    def _bind(self, use: Use) -> None:
        """From now on it belongs to the scheduler whose session `use` gives."""
        self._use = use

    async def _install(self, session: Session) -> None:
        """Send those of its rules that are not stored so: called when a session has opened. When
        the server has been emptied later on, the session itself brings them back."""
        session.belongings.rules.append(self._rules)
        rules = self._rules()
        known = await stored_rules(session, rules)
        changes = {field: value for field, value in rules.items() if value != (known[field] or b"")}
        if changes:
            changed = packed(changes)
            await session.once(session.scripts.govern, is_repeatable=True, changes=changed)

    async def switch_off(self) -> None:
        """Take its rules out of Redis, for the whole fleet."""
        session = await self._session()
        self._forget(session)
        await govern(session, dict.fromkeys(self._rules(), REMOVED))

    def _forget(self, session: Session) -> None:
        """An emptied server does not get its rules again."""
        if self._rules in session.belongings.rules:
            session.belongings.rules.remove(self._rules)

    @abstractmethod
    def _rules(self) -> dict[bytes, bytes]:
        """Field -> value of `rules`, as this object defines them."""

    async def _session(self) -> Session:
        """Raises RuntimeError when it belongs to no scheduler."""
        if self._use is None:
            name = type(self).__name__
            raise RuntimeError(
                f"this {name} belongs to no scheduler yet: pass it to one, as in "
                f"AsyncLOCOScheduler(..., {self._option.format(f'{name}(...)')})"
            )
        return await self._use()
