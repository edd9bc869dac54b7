"""LOCOScheduler: the same for threads and plain code, over an event loop in a thread of its own."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from loco_redis._holding import Holding, Nested, Wish
from loco_redis._loop_thread import LoopThread, Undo
from loco_redis._orders import Moment
from loco_redis.backoff import Backoff
from loco_redis.errors import ShutdownError
from loco_redis.lease import BaseLease, enter_context, leave_context
from loco_redis.models import Agent, SharedResource, Task
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.snapshots import AgentSnapshot, Snapshot

T = TypeVar("T")


class BlockingLease(BaseLease):
    """What `LOCOScheduler.acquire` and `serve` yield."""

    __slots__ = ("_run",)

    def __init__(self, run: Callable[..., Any], *args: Any) -> None:
        super().__init__(*args)
        self._run = run

    def settle(self, cost: float, tokens: int | None = None) -> None:
        """As `Lease.settle`."""
        self._run(self._settle(cost, tokens))

    def throttled(self, retry_after: float = 1.0) -> None:
        """As `Lease.throttled`."""
        self._run(self._throttled(retry_after))


class BlockingHolding(Holding):
    """Left at the latest when nobody knows of it any more: an interrupt (Ctrl-C) may strike just
    after the slot was won, or just before it is given back."""

    def __init__(self, scheduler: LOCOScheduler, wish: Wish) -> None:
        super().__init__(scheduler._core, wish, partial(BlockingLease, scheduler._run))
        self._thread = scheduler._thread

    def __del__(self) -> None:
        is_mine = self.lease is not None and not self.shared
        if is_mine and not self.left and not self._scheduler._guard.forked:
            self._thread.start_soon(self.leave, KeyboardInterrupt())


class BlockingAcquisition:
    """`with scheduler.acquire(...) as lease:`; for one use."""

    __slots__ = ("_holding", "_scheduler")

    def __init__(self, scheduler: LOCOScheduler, holding: Holding) -> None:
        self._scheduler, self._holding = scheduler, holding

    def __enter__(self) -> BlockingLease:
        holding = self._holding
        if holding.lease is not None:
            raise RuntimeError("an acquisition can be entered once: call acquire() again")
        lease = self._scheduler._enter(holding)
        if not holding.shared:
            enter_context(lease)
        return lease

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lease = self._holding.lease
        assert lease is not None
        if self._holding.shared:
            return
        leave_context(lease)
        if self._scheduler._core._guard.forked:  # what was entered before is the parent's to leave
            return
        self._scheduler._leave(self._holding, exc)


class BlockingHandle:
    """What `LOCOScheduler.acquire_start` gives, until `release_handle`."""

    __slots__ = ("_holding",)

    def __init__(self, holding: Holding) -> None:
        self._holding = holding

    @property
    def lease(self) -> BlockingLease:
        return cast(BlockingLease, self._holding.lease)

    @property
    def shared(self) -> bool:
        """As `AcquireHandle.shared`."""
        return self._holding.shared

    def __repr__(self) -> str:
        return f"<BlockingHandle {self.lease!r}>"


class LOCOScheduler:
    """`AsyncLOCOScheduler` for code without an event loop; many threads share one.

    Takes the same arguments and has the same methods, which block, but for `worker`: call `serve`
    in as many threads as you like. What differs: the body of a lost lease is not cancelled, leaving
    it raises LeaseLostError; callbacks run in the scheduler's thread and must not block on the
    scheduler. Use it by `with`, or `close()` it.
    """

    def __init__(
        self,
        agents: Iterable[Agent] = (),
        resource: SharedResource | None = None,
        **options: Any,
    ) -> None:
        self._core = AsyncLOCOScheduler(agents, resource, **options)
        self._thread = LoopThread(self._core.name)
        self.metrics = cast(Any, Blocking(self._core.metrics, self._run))
        self.operations = cast(Any, Blocking(self._core.operations, self._run))
        self.budget = cast(Any, self._core.budget and Blocking(self._core.budget, self._run))
        self.enforcer = cast(Any, self._core.enforcer and Blocking(self._core.enforcer, self._run))
        self.trust_scorer = cast(
            Any, self._core.trust_scorer and Blocking(self._core.trust_scorer, self._run)
        )
        self.slo = cast(Any, self._core.slo and Blocking(self._core.slo, self._run))

    def __repr__(self) -> str:
        return repr(self._core).replace("AsyncLOCOScheduler", "LOCOScheduler", 1)

    def __enter__(self) -> Self:
        try:
            self._run(self._core.__aenter__())
        except Exception:
            if self._core._session is None:  # nobody will leave what was not entered
                self._thread.stop()
            raise
        except BaseException:  # interrupted: nobody will leave what may have been opened
            self.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        return self._core.name

    @property
    def url(self) -> str:
        return self._core.url

    @property
    def session_id(self) -> str | None:
        return self._core.session_id

    def acquire(
        self,
        agent_id: str,
        task: Task | None = None,
        *,
        weight: float | None = None,
        timeout: float | None = None,
        nested: Nested = "error",
    ) -> BlockingAcquisition:
        """`with scheduler.acquire("agent") as lease:`; see `AsyncLOCOScheduler.acquire`."""
        wish = Wish.of(agent_id, task, weight, timeout, nested)
        return BlockingAcquisition(self, BlockingHolding(self, wish))

    def acquire_start(
        self,
        agent_id: str,
        task: Task | None = None,
        *,
        weight: float | None = None,
        timeout: float | None = None,
        nested: Nested = "error",
    ) -> BlockingHandle:
        """See `AsyncLOCOScheduler.acquire_start`."""
        holding = BlockingHolding(self, Wish.of(agent_id, task, weight, timeout, nested))
        self._enter(holding)
        return BlockingHandle(holding)

    def release_handle(self, handle: BlockingHandle, error: BaseException | None = None) -> None:
        """Release once; see `AsyncLOCOScheduler.release_handle`."""
        if not handle._holding.left:
            self._leave(handle._holding, error)

    def serve(
        self, timeout: float | None = None, *, nested: Nested = "error"
    ) -> BlockingAcquisition:
        """`with scheduler.serve() as lease:`; see `AsyncLOCOScheduler.serve`."""
        return BlockingAcquisition(self, BlockingHolding(self, Wish.any_task(timeout, nested)))

    def submit_task(
        self,
        agent_id: str,
        task: Task | None = None,
        *,
        weight: float | None = None,
        payload: bytes | None = None,
        delay: float | None = None,
        not_before: Moment = None,
        deadline: Moment = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        dedup_key: str | None = None,
        result_ttl: float | None = None,
    ) -> str:
        """See `AsyncLOCOScheduler.submit_task`."""
        return self._run(
            self._core.submit_task(
                agent_id,
                task,
                weight=weight,
                payload=payload,
                delay=delay,
                not_before=not_before,
                deadline=deadline,
                max_attempts=max_attempts,
                backoff=backoff,
                dedup_key=dedup_key,
                result_ttl=result_ttl,
            )
        )

    def result(self, task_id: str, timeout: float | None = None) -> Any:
        """See `AsyncLOCOScheduler.result`."""
        return self._run(self._core.result(task_id, timeout))

    def cancel_task(self, task_id: str) -> None:
        self._run(self._core.cancel_task(task_id))

    def register_agent(self, agent: Agent) -> None:
        self._run(self._core.register_agent(agent))

    def unregister_agent(self, agent_id: str) -> None:
        self._run(self._core.unregister_agent(agent_id))

    def get_agent(self, agent_id: str) -> AgentSnapshot:
        return self._run(self._core.get_agent(agent_id))

    def snapshot(self, limit: int = 1000) -> Snapshot:
        return self._run(self._core.snapshot(limit))

    def set_max_concurrency(self, agent_id: str, most: int | None) -> None:
        self._run(self._core.set_max_concurrency(agent_id, most))

    def reconfigure(self, **changes: Any) -> int:
        """See `AsyncLOCOScheduler.reconfigure`."""
        return self._run(self._core.reconfigure(**changes))

    def shutdown(self, timeout: float = 30.0) -> dict[str, int]:
        return self._run(self._core.shutdown(timeout))

    def close(self) -> None:
        """As `AsyncLOCOScheduler.aclose`, and end the thread. Idempotent."""
        if self._core._guard.forked:
            return
        if self._thread.running:
            with contextlib.suppress(ShutdownError):  # another thread was quicker
                self._run(self._core.aclose(), finish=True)
        self._core._shut = self._core._closed = True
        self._thread.end()

    def _enter(self, holding: Holding) -> BlockingLease:
        give_back = partial(holding.leave, KeyboardInterrupt())
        return cast(BlockingLease, self._run(holding.enter(), undo=give_back))

    def _leave(self, holding: Holding, error: BaseException | None) -> None:
        lease = holding.lease
        self._run(holding.leave(error), finish=True)
        if lease is not None and lease.lost and error is None and self._core._cancels:
            raise lease._error()

    def _run(
        self, work: Coroutine[Any, Any, T], *, undo: Undo | None = None, finish: bool = False
    ) -> T:
        try:
            self._core._guard.check()
            if self._core._closed and not self._thread.running:
                raise ShutdownError(self.name)
        except BaseException:
            work.close()
            raise
        return self._thread.run(work, undo=undo, finish=finish)


class Blocking:
    """A part of the async scheduler whose awaited methods block; so do those of what it gives."""

    __slots__ = ("_run", "_target")

    def __init__(self, target: object, run: Callable[..., Any]) -> None:
        self._target, self._run = target, run

    def __repr__(self) -> str:
        return repr(self._target)

    def __dir__(self) -> list[str]:
        return dir(self._target)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not inspect.ismethod(value):
            return self._wrapped(value)

        @functools.wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            return self._run(result) if inspect.iscoroutine(result) else self._wrapped(result)

        return call

    def _wrapped(self, value: Any) -> Any:
        is_part = any(inspect.iscoroutinefunction(m) for m in vars(type(value)).values())
        return Blocking(value, self._run) if is_part and not callable(value) else value
