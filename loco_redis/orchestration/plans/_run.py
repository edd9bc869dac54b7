"""This process' share of a plan: claims steps, keeps the claims, says how attempts ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from loco_redis import _validate as validate
from loco_redis._tasks import UNWINDING, end
from loco_redis.orchestration._calling import Threads, maybe_awaited
from loco_redis.orchestration.plans._attempt import Attempts, Outcome, by_step
from loco_redis.orchestration.plans._hints import listening
from loco_redis.orchestration.plans._slots import Slots
from loco_redis.orchestration.plans._store import Claim, Look, Store
from loco_redis.orchestration.plans.context import Progress, StepContext
from loco_redis.orchestration.plans.step import Step

if TYPE_CHECKING:
    from loco_redis.orchestration.plans.plan import Plan, Watcher
    from loco_redis.scheduler import AsyncLOCOScheduler

_SLOW_LOOK = 2.0  # seconds; hints may be lost
_RENEWALS = 3  # in each claim_ttl
_PATIENCE_AT_THE_END = 2.0


class Run:
    """Made by `of`, which checks everything; used once."""

    def __init__(
        self,
        slots: Slots,
        handlers: Mapping[str, Callable[[StepContext], Any]],
        on_progress: Watcher | None,
        concurrency: int,
        claim_ttl: float,
    ) -> None:
        self._slots, self._handlers, self._on_progress = slots, handlers, on_progress
        self._concurrency, self._ttl = concurrency, claim_ttl
        self._owner = _owner()
        self._news = asyncio.Event()
        self._hand: dict[Claim, asyncio.Task[None]] = {}
        self._lost: set[Claim] = set()  # cancelled because they are not ours any more
        self._said: set[Claim] = set()  # whose handler has ended: nothing is left to cancel
        self._failure: BaseException | None = None
        self._left = 0

    @classmethod
    def of(
        cls,
        plan: Plan,
        given: AsyncLOCOScheduler | Any,
        handlers: Mapping[str, Callable[[StepContext], Any]],
        on_progress: Watcher | None,
        concurrency: int,
        claim_ttl: float,
    ) -> Self:
        """Raises PlanError and ValueError: the plan or an argument is not right."""
        plan.validate()
        return cls(
            Slots(given, plan.steps),
            by_step(plan.steps, handlers),
            on_progress,
            validate.count("concurrency", concurrency, 1, 1000),
            validate.seconds("claim_ttl", claim_ttl, 0.2, 3600),
        )

    async def until_ended(self, store: Store) -> None:
        """Run steps until the plan has ended. In any other case what is in hand is given back."""
        self._store, threads = store, Threads(self._concurrency)
        self._steps = tuple(map(Step.from_dict, store.stored.definition["steps"]))
        self._attempts = Attempts(store, self._steps, self._slots, self._handlers, threads)
        keeper = asyncio.create_task(self._keep(), name="loco_redis.plan_claims")
        try:
            async with listening(store.caller.client, store.keys.channel, self._news.set):
                await self._work()
        finally:
            try:
                await self._give_back()
            finally:
                threads.close()
                await end(keeper)

    async def _work(self) -> None:
        while True:
            self._news.clear()
            look = await self._look()
            for claim in look.claims:
                self._start(claim)
            if look.state != "running":
                self._drop(set(self._hand))  # of a plan that was cancelled
                if not self._hand:
                    return
            await self._wait(look)
            if self._failure is not None:
                raise self._failure

    async def _look(self) -> Look:
        """With a claim for as many steps as there is room for."""
        room = self._concurrency - len(self._hand)
        held = [claim.fence for claim in self._hand]
        # Claims whose reply was lost are this owner's in Redis, and not in hand.
        doubt = self._store.caller.take_doubt()
        look = await self._store.claim(self._owner, self._ttl, room, held, doubt)
        self._left = look.left
        return look

    async def _wait(self, look: Look) -> None:
        """For a hint, the end of an attempt, or the time when a look may pay."""
        is_full = len(self._hand) >= self._concurrency
        pause = _SLOW_LOOK if is_full else min(_SLOW_LOOK, look.wait + 0.001)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._news.wait()

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._attempt(claim), name="loco_redis.plan_step")
        self._hand[claim] = task
        task.add_done_callback(lambda _: self._ended(claim, task))

    def _ended(self, claim: Claim, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error  # what is in hand of it is given back
        elif not task.cancelled() or claim in self._lost:
            del self._hand[claim]
            self._said.discard(claim)
            self._lost.discard(claim)
        self._news.set()

    async def _attempt(self, claim: Claim) -> None:
        async def begin() -> None:
            await self._tell(claim, "running")

        outcome = await self._attempts.make(claim, begin)
        self._said.add(claim)
        step = self._steps[claim.place]
        delay = step.backoff.delay(claim.failures + 1)
        found = await self._store.finish(claim, outcome.outcome, outcome.text, delay)
        if found.verdict != "stale":
            self._left = found.left
            await self._tell(claim, found.state, outcome)

    async def _tell(self, claim: Claim, state: str, outcome: Outcome | None = None) -> None:
        if self._on_progress is None:
            return
        total = len(self._steps)
        failed = outcome is not None and outcome.outcome == "failed"
        news = Progress(
            plan_id=self._store.plan_id,
            step=self._steps[claim.place].name,
            state=state,
            finished=total - self._left,
            total=total,
            error=outcome.text if outcome is not None and failed else None,
        )
        await maybe_awaited(self._on_progress(news))

    async def _keep(self) -> None:
        """Renew the claims in hand, for as long as this runs."""
        try:
            while True:
                await asyncio.sleep(self._ttl / _RENEWALS)
                if claims := list(self._hand):
                    lost = await self._store.renew(self._ttl, claims)
                    self._drop({claim for claim in claims if claim.place in lost})
        except Exception as error:  # noqa: BLE001  `_work` raises it
            self._failure = self._failure or error
            self._news.set()

    def _drop(self, claims: set[Claim]) -> None:
        """They are not ours any more: another has them, or the plan was cancelled."""
        for claim in (claims & self._hand.keys()) - self._said:
            self._lost.add(claim)
            self._hand[claim].cancel()

    async def _give_back(self) -> None:
        """End what is in hand; others may take it at once."""
        if saying := [task for claim, task in self._hand.items() if claim in self._said]:
            await asyncio.wait(saying, timeout=_PATIENCE_AT_THE_END)
        await end(*self._hand.values(), patience=UNWINDING)
        backs: list[Coroutine[Any, Any, Any]] = [
            self._store.finish(claim, "back", patience=_PATIENCE_AT_THE_END)
            for claim in self._hand.keys() - self._lost
        ]
        # Where that fails they are free when the claims expire.
        await asyncio.gather(*backs, return_exceptions=True)


def _owner() -> str:
    """Who runs a step, for people; unique."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "_", socket.gethostname())[:64]
    return f"{host}:{os.getpid()}:{uuid4().hex[:12]}"
