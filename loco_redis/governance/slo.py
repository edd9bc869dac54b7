"""A service level objective over the waits of the whole fleet, and how much of it is used up."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from enum import Enum

from loco_redis import _hashes as hashes
from loco_redis import _validate as validate
from loco_redis.governance import _rules as rules
from loco_redis.governance._rules import Governor
from loco_redis.lease import BaseLease

_MAX_TICKS = 10**9
_MAX_WINDOW = 10_000
_VIOLATED = b"1"


class SLOState(Enum):
    """How much of the error budget is used up."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True)
class _Reading:
    """The rate of violations at one moment, and the shares from which on it is bad."""

    rate: float
    warn: float
    critical: float

    @property
    def state(self) -> SLOState:
        if self.rate >= 1:
            return SLOState.EXHAUSTED
        if self.rate >= self.critical:
            return SLOState.CRITICAL
        return SLOState.WARNING if self.rate >= self.warn else SLOState.HEALTHY


class SLOBudget(Governor):
    """Watches how long the last `window` leases of the fleet had waited when they were granted.

    Pass it to a scheduler: `AsyncLOCOScheduler(..., slo=SLOBudget(target_wait=20.0))`. Each release
    of the fleet counts one wait; one above `target_wait` is a violation. With v the share of
    violations among those in the window (0.0 when there are none yet), the state is HEALTHY for
    v < warn, WARNING from warn on, CRITICAL from critical on, and EXHAUSTED at 1.0.

    Args:
        target_wait: ticks that a task may wait, from 0.
        window: how many waits count, 1 to 10,000.
        warn, critical: shares, 0 < warn <= critical <= 1.

    Raises:
        ValueError: any of them out of range, or NaN.
    """

    _option = "slo={}"

    def __init__(
        self,
        target_wait: float = 20.0,
        window: int = 100,
        warn: float = 0.75,
        critical: float = 0.90,
    ) -> None:
        self.target_wait = validate.number("target_wait", target_wait, 0, _MAX_TICKS)
        self.window = validate.count("window", window, 1, _MAX_WINDOW)
        self.warn = validate.number("warn", warn, 0, 1)
        self.critical = validate.number("critical", critical, 0, 1)
        if not 0 < self.warn <= self.critical:
            raise ValueError(
                f"warn must be above 0 and at most critical, got warn={warn:g}, "
                f"critical={critical:g}"
            )

    def __repr__(self) -> str:
        return f"SLOBudget({self.target_wait:g}, {self.window}, {self.warn:g}, {self.critical:g})"

    async def record(self, agent_id: str, waited: int | BaseLease) -> SLOState:
        """Count a wait that no release of a lease counts, such as one for a request that was given
        up; returns the state after it.

        Args:
            waited: ticks, or a lease, whose `waited_ticks` count.
        """
        agent = validate.agent_id(agent_id)
        ticks = waited.waited_ticks if isinstance(waited, BaseLease) else waited
        validate.count("waited", ticks, 0, _MAX_TICKS)
        session = await self._session()
        await session.once(session.scripts.judge, agent=agent, signal="wait", waited=ticks)
        return await self.state()

    async def violation_rate(self) -> float:
        """0.0 to 1.0: the share of waits above the target."""
        return (await self._read()).rate

    async def budget_remaining(self) -> float:
        """1.0 to 0.0: 1 - violation_rate."""
        return 1 - (await self._read()).rate

    async def state(self) -> SLOState:
        return (await self._read()).state

    async def reset(self) -> None:
        """Forget the waits of the whole fleet."""
        session = await self._session()
        key = session.scripts.keys.accounts
        await session.outbox.send_raw(session.backend_timeout, "HDEL", key, b"o")

    async def _read(self) -> _Reading:
        """By the rule that holds for the fleet: perhaps another process has set it."""
        session = await self._session()
        keys = session.scripts.keys
        rule, found = await asyncio.gather(
            hashes.get(session, keys.rules, b"o"), hashes.get(session, keys.accounts, b"o")
        )
        rule = rule or self._rules()[b"o"]
        _, window, warn, critical = rule.split(b"|")
        waits = (found or b"")[-int(window) :]
        rate = waits.count(_VIOLATED) / len(waits) if waits else 0.0
        return _Reading(rate, float(warn), float(critical))

    def _rules(self) -> dict[bytes, bytes]:
        # Waits are whole ticks, so comparing them with the whole part is exact.
        return rules.slo(math.floor(self.target_wait), self.window, self.warn, self.critical)
