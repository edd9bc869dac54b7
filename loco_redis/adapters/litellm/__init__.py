"""LiteLLM: calls of any provider's models, and Routers over several deployments of them.

    adapter = LiteLLMAdapter(scheduler)
    answer = await adapter.acompletion(model="openai/gpt-5-nano", messages=messages)
    router = adapter.router(Router(model_list=...))

LiteLLM's own hooks (CustomLogger, callbacks) are not used: they are not told of a call that is
cancelled, or of a stream that is left, and so could not give its slot back.

- `adapter.py`  `LiteLLMAdapter`: LiteLLM's functions, scheduled
- `_router.py`  a Router each of whose attempts waits
- `_streams.py` streams that hold their slots; `_request.py` what is asked for, and what is said
"""

from loco_redis.adapters.litellm.adapter import LiteLLMAdapter

__all__ = ["LiteLLMAdapter"]
