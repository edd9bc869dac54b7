"""A callback handler, for where nothing but callbacks can be passed in: it books, and it refuses.

It takes no slots. LangChain does not say that a call has ended in every case: a cancelled `ainvoke`
runs no `on_llm_error`, so a slot taken in `on_chat_model_start` would be held for good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from loco_redis._extras import need
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.loop_of import LoopOf
from loco_redis.adapters._calls.schedulers import Given, plain_scheduler
from loco_redis.adapters.langchain._reading import agent_of_graph, prompt_of, usage_of
from loco_redis.adapters.prices import Price, Pricing
from loco_redis.blocking import LOCOScheduler
from loco_redis.context import DEFAULT_AGENT
from loco_redis.errors import BudgetExceededError
from loco_redis.governance.budgets import BudgetManager
from loco_redis.scheduler import AsyncLOCOScheduler

BaseCallbackHandler: Any = need("langchain_core.callbacks", "langchain").BaseCallbackHandler

_log = logging.getLogger("loco_redis")


class LOCOCallbackHandler(BaseCallbackHandler):
    """`model.invoke(question, config={"callbacks": [LOCOCallbackHandler(scheduler)]})`: the call is
    refused when its agent's budget has no room for it, and its tokens and cost are booked when it
    has ended. It is not scheduled; `schedule` is for that, and books by itself: do not use both.

    A budget is read, not reserved: calls that begin together may go beyond it together. What fails,
    is cancelled or closed early is not booked.

    Args:
        scheduler: an AsyncLOCOScheduler (for async calls, and for plain ones in other threads than
            its loop's), a LOCOScheduler, or None: the configured one of plain code.
        agent_id, prices: as in CallArguments.

    Raises:
        ValueError: any of them out of range.
        BudgetExceededError: the call, before anything is sent, in a budget's mode "reject".
    """

    # LangChain would log what is raised here, and make the call. Its methods are plain, and run in
    # a thread where the call is async: those of an async handler cannot refuse plain calls.
    raise_error = True
    run_inline = False

    def __init__(
        self,
        scheduler: Given = None,
        *,
        agent_id: str = DEFAULT_AGENT,
        prices: bool | Price | Pricing | None = None,
    ) -> None:
        super().__init__()
        self._conductor = Conductor("langchain", scheduler, agent_id=agent_id, prices=prices)

    def on_chat_model_start(
        self, serialized: Any, messages: list[list[Any]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Refuse what the budget has no room for. Raises BudgetExceededError."""
        asked = kwargs.get("invocation_params") or {}
        about = kwargs.get("metadata") or {}
        call = self._conductor.call(
            about.get("ls_model_name") or "",
            prompt_of([message for batch in messages for message in batch], asked),
            about.get("ls_max_tokens"),
            agent_id=agent_of_graph(),
        )
        self._run(lambda scheduler: _refuse(scheduler, call.agent_id, call.task().cost or 0.0))

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Book what the call has used. Raises nothing: the answer is there, and has been paid."""
        for generations in response.generations:
            try:
                self._book(generations[0].message)
            except Exception:  # noqa: BLE001  also of objects that are no chat model's
                _log.exception("what a call has used could not be booked")

    def _book(self, message: Any) -> None:
        metadata = getattr(message, "usage_metadata", None) or {}
        usage = usage_of(metadata)
        if usage is None or metadata.get("total_cost") == 0:  # out of LangChain's cache
            return
        model = message.response_metadata.get("model_name") or ""
        call = self._conductor.call(model, (), agent_id=agent_of_graph())
        pricing = call.options.pricing
        cost = pricing.rounded(call.agent_id, pricing.cost(model, usage))

        async def book(scheduler: AsyncLOCOScheduler) -> None:
            await _budget_of(scheduler).record_spend(call.agent_id, cost)
            record = scheduler.metrics.record_actual_tokens
            await record(call.agent_id, call.task_type, usage.total_tokens)

        self._run(book)

    def _run(self, work: Callable[[AsyncLOCOScheduler], Coroutine[Any, Any, None]]) -> None:
        scheduler = plain_scheduler(self._conductor.scheduler)()
        if isinstance(scheduler, LOCOScheduler):
            scheduler._run(work(scheduler._core))
        else:
            LoopOf(scheduler).run(work(scheduler))


async def _refuse(scheduler: AsyncLOCOScheduler, agent_id: str, cost: float) -> None:
    budget = _budget_of(scheduler)
    if await budget.check(agent_id, cost):
        return
    if (await budget.policy.summary())["on_exceeded"] != "reject":
        return
    limit, left = await budget.get_limit(agent_id), await budget.remaining(agent_id)
    if limit is not None and left is not None:
        raise BudgetExceededError(agent_id, limit, round(limit - left, 3), cost)


def _budget_of(scheduler: AsyncLOCOScheduler) -> BudgetManager:
    """Of the resource, whoever has set it."""
    budget = scheduler.budget
    if budget is None:
        budget = BudgetManager()
        budget._bind(scheduler._use)
    return budget
