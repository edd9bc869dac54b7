"""Trust: agents whose work goes well are preferred a little."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from loco_redis import _hashes as hashes
from loco_redis import _validate as validate
from loco_redis.governance import _rules as rules
from loco_redis.governance._rules import MICROSECONDS, Governor

BASELINE = 500.0
_UNITS = 1000  # Redis keeps thousandths of a point
_BASE, _TOP = 500_000, 1_000_000
_MAX_TICKS = 10**9
_SHORTEST, _LONGEST = 0.001, 1e9  # seconds
_GONE = 40  # half-lives after which nothing is left


@dataclass(frozen=True, slots=True)
class TrustStats:
    """Why an agent is trusted as it is.

    Attributes:
        score: 0 to 1000, 500 where nothing is known.
        priority_multiplier: 0.8 to 1.2.
        successes, fast, late, errors, timeouts: signals so far; `fast` and `late` successes are
            successes, too.
    """

    score: float
    priority_multiplier: float
    successes: int = 0
    fast: int = 0
    late: int = 0
    errors: int = 0
    timeouts: int = 0


class TrustScorer(Governor):
    """Scores agents from 0 to 1000: +15 for a success, +10 more when it waited at most half of
    `slo_target`, -25 when it waited longer than `slo_target`, -50 for an error, -80 for a timeout.
    Scores return to 500 with time, and multiply L(i) by 0.8 to 1.2 in the choice of who is next.

    Pass it to a scheduler: `AsyncLOCOScheduler(..., trust_scorer=TrustScorer())`. Every release of
    the fleet then counts as a success, or as an error if its body raised; `record_...` adds what
    else is known. Only the first 10,000 agents are scored.

    Args:
        slo_target: ticks that a task may wait, from 0.
        decay_half_life: seconds after which half of what is above or below 500 is left.

    Raises:
        ValueError: a negative target, a half-life below 1 ms, NaN.
    """

    _option = "trust_scorer={}"

    def __init__(self, slo_target: float = 20.0, decay_half_life: float = 3600.0) -> None:
        self.slo_target = validate.number("slo_target", slo_target, 0, _MAX_TICKS)
        self.decay_half_life = validate.seconds(
            "decay_half_life", decay_half_life, _SHORTEST, _LONGEST
        )

    def __repr__(self) -> str:
        return f"TrustScorer({self.slo_target:g}, {self.decay_half_life:g})"

    async def record_success(self, agent_id: str, wait_ticks: int = 0) -> None:
        """A piece of work went well after a wait of so many ticks."""
        await self._record(agent_id, "success", wait_ticks)

    async def record_error(self, agent_id: str) -> None:
        """A piece of work failed."""
        await self._record(agent_id, "error")

    async def record_timeout(self, agent_id: str) -> None:
        """A piece of work took too long."""
        await self._record(agent_id, "timeout")

    async def score(self, agent_id: str) -> float:
        """0 to 1000 at this moment; 500 for an agent of which nothing is known."""
        return (await self.stats(agent_id)).score

    async def priority_multiplier(self, agent_id: str) -> float:
        """0.8 to 1.2: what L(i) is multiplied by."""
        return (await self.stats(agent_id)).priority_multiplier

    async def scores(self) -> dict[str, float]:
        """Agent id -> score, for all of whom anything is known."""
        session = await self._session()
        now, half_life = await self._terms()
        rows = await hashes.scan(session, session.scripts.keys.accounts, b"s*")
        return {
            name[1:].decode(): decayed(row, now, half_life) / _UNITS for name, row in rows.items()
        }

    async def stats(self, agent_id: str) -> TrustStats:
        """The score at this moment, and the signals it comes from."""
        field = b"s" + validate.agent_id(agent_id)
        session = await self._session()
        row, (now, half_life) = await asyncio.gather(
            hashes.get(session, session.scripts.keys.accounts, field), self._terms()
        )
        score = decayed(row, now, half_life)
        counts = map(int, row.split(b"|")[2:]) if row else ()
        return TrustStats(score / _UNITS, _percent(score) / 100, *counts)

    async def _record(self, agent_id: str, signal: str, waited: int = 0) -> None:
        agent = validate.agent_id(agent_id)
        validate.count("wait_ticks", waited, 0, _MAX_TICKS)
        session = await self._session()
        await session.once(session.scripts.judge, agent=agent, signal=signal, waited=waited)

    async def _terms(self) -> tuple[int, int]:
        """The server's clock and the half-life that holds for the fleet, both in microseconds."""
        session = await self._session()
        clock, rule = await asyncio.gather(
            session.outbox.send_raw(session.backend_timeout, "TIME"),
            hashes.get(session, session.scripts.keys.rules, b"s"),
        )
        seconds, micros = map(int, clock.reply)
        half_life = int(rule.split(b"|")[1]) if rule else self._half_life()
        return seconds * MICROSECONDS + micros, half_life

    def _half_life(self) -> int:
        return round(self.decay_half_life * MICROSECONDS)

    def _rules(self) -> dict[bytes, bytes]:
        # Waits are whole ticks, so comparing them with the whole part is exact.
        return rules.trust(math.floor(self.slo_target), self._half_life())


def decayed(row: bytes | None, now: int, half_life: int) -> int:
    """The score of a row in thousandths, as `lua/include/trust.lua` computes it."""
    if row is None:
        return _BASE
    score, at = map(int, row.split(b"|")[:2])
    age = max(now - at, 0) / half_life
    halves = math.floor(age)
    left = 0.0 if halves > _GONE else math.ldexp(1 - (age - halves) / 2, -halves)
    now_score = _BASE + (score - _BASE) * left
    return math.ceil(now_score) if now_score < _BASE else math.floor(now_score)


def _percent(score: int) -> int:
    return 80 + math.floor(score * 40 / _TOP + 0.5)
