"""Calls of LangChain's chat models, wherever they are used: alone, in chains, in LangGraph.

    model = schedule(ChatOpenAI(model="gpt-5-nano"), scheduler, agent_id="analyst")
    agent = create_agent("openai:gpt-5", tools, middleware=[SchedulerMiddleware(scheduler)])

- `models.py`      `schedule`: a copy of a chat model, each call of which takes a slot
- `_middleware.py` `SchedulerMiddleware`: the same for whatever model an agent uses (needs
  `langchain`, so it is imported when it is first used)
- `_callbacks.py`  `LOCOCallbackHandler`: books usage, refuses what is over budget, takes no slots
- `_hooks.py`      what LangChain calls of a model; `_request.py`, `_reading.py` what is said there
"""

from typing import TYPE_CHECKING, Any

from loco_redis.adapters.langchain._callbacks import LOCOCallbackHandler
from loco_redis.adapters.langchain.models import schedule

if TYPE_CHECKING:
    from loco_redis.adapters.langchain._middleware import SchedulerMiddleware

__all__ = ["LOCOCallbackHandler", "SchedulerMiddleware", "schedule"]


def __getattr__(name: str) -> Any:
    if name != "SchedulerMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from loco_redis.adapters.langchain._middleware import SchedulerMiddleware

    return SchedulerMiddleware
