"""Celery: a task runs in a slot of the agent named in its headers or options."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from loco_redis._extras import need
from loco_redis.adapters._queue_slots import LABELS, BlockingSchedulers, OnTimeout, QueueOptions
from loco_redis.blocking import LOCOScheduler
from loco_redis.errors import LocoRedisError


class CeleryAdapter:
    """`CeleryAdapter().install(app)`.

    `loco_agent`, `loco_weight` and `loco_timeout` say who waits, with what weight, and for how many
    seconds: as headers of a call (`apply_async(headers={...})`), else as options of the task
    (`@app.task(loco_agent=...)`, or by `task_annotations`). `loco_agent=None` runs a task without a
    slot. The slot is taken around the task's function, inside its `autoretry_for`.

    Args:
        scheduler: None: the one that `loco_redis.configure` made; each process of a pool has its
            own, made at its first task. A function that makes one does the same with options that
            `configure` does not take. A LOCOScheduler serves pools without processes only.
        agent_id, weight, timeout, on_timeout, retry_in: as of QueueOptions. A task put off is
            published again with a countdown, and does not use up one of its retries.

    A task without a slot fails with what `acquire` raises.

    Raises:
        ValueError: any of them out of range.
    """

    def __init__(
        self,
        scheduler: LOCOScheduler | Callable[[], LOCOScheduler] | None = None,
        *,
        agent_id: str | None = None,
        weight: float = 1.0,
        timeout: float | None = None,
        on_timeout: OnTimeout = "retry",
        retry_in: float = 1.0,
    ) -> None:
        self._schedulers = BlockingSchedulers(scheduler)
        self._options = QueueOptions(agent_id, weight, timeout, on_timeout, retry_in)

    def install(self, app: Any) -> None:
        """All tasks of the app run in slots, but for Celery's own. Its workers close the
        schedulers that their tasks have used.

        Raises:
            ModuleNotFoundError: Celery is not installed.
        """
        signals = need("celery.signals", "celery")
        make = app._task_from_fun

        @functools.wraps(make)
        def make_wrapped(*args: Any, **options: Any) -> Any:
            task = make(*args, **options)
            self._wrap(task)
            return task

        def wrap_all(**_: Any) -> None:
            if app.finalized:
                for task in app.tasks.values():
                    self._wrap(task)

        # Celery has no hook for a task that is made; the others are for tasks made before this, and
        # for those of `register_task`.
        app._task_from_fun = make_wrapped
        wrap_all()
        app.on_after_finalize.connect(wrap_all, weak=False)
        signals.worker_init.connect(wrap_all, weak=False)
        for signal in (signals.worker_process_shutdown, signals.worker_shutdown):
            signal.connect(self._close, weak=False)

    def _close(self, **_: Any) -> None:
        self._schedulers.close()

    def _wrap(self, task: Any) -> None:
        # `autoretry_for` keeps the function there, and is to see what `acquire` raises.
        attribute = "_orig_run" if hasattr(task, "_orig_run") else "run"
        function = getattr(task, attribute)
        if task.name.startswith("celery.") or getattr(function, "_loco_adapter", None) is self:
            return

        @functools.wraps(function)
        def in_slot(*args: Any, **kwargs: Any) -> Any:
            return self._run(task, lambda: function(*args, **kwargs))

        in_slot._loco_adapter = self  # type: ignore[attr-defined]
        setattr(task, attribute, in_slot)

    def _run(self, task: Any, body: Callable[[], Any]) -> Any:
        request = task.request
        if request.called_directly:  # a plain call of its function
            return body()
        labels = {label: getattr(task, label) for label in LABELS if hasattr(task, label)}
        headers = request.headers or {}
        labels |= {label: headers[label] for label in LABELS if label in headers}
        terms = self._options.terms(task.name, labels)
        if terms is None:
            return body()

        def put_off(error: LocoRedisError) -> NoReturn:
            self._put_off(task, error)

        return terms.run_blocking(self._schedulers.get(), body, put_off)

    def _put_off(self, task: Any, error: LocoRedisError) -> NoReturn:
        request, after = task.request, self._options.retry_in
        if self._options.on_timeout == "fail" or request.is_eager:
            raise error
        exceptions = need("celery.exceptions", "celery")
        # As `task.retry` does, which would count it.
        again = task.signature_from_request(request, countdown=after, retries=request.retries)
        try:
            again.apply_async()
        except Exception as failure:
            raise exceptions.Reject(failure, requeue=False) from failure
        raise exceptions.Retry(exc=error, when=after, sig=again) from error
