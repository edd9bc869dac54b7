"""PydanticAI: each request to a model waits for its slot.

- `adapter.py`  `PydanticAIAdapter`
- `_model.py`   a model whose requests wait
- `_limiter.py` `LOCOConcurrencyLimiter`: PydanticAI's own interface, which knows neither who asks
  nor what was used
"""

from loco_redis.adapters.pydantic_ai._limiter import LOCOConcurrencyLimiter
from loco_redis.adapters.pydantic_ai._model import ScheduledModel
from loco_redis.adapters.pydantic_ai.adapter import PydanticAIAdapter

__all__ = ["LOCOConcurrencyLimiter", "PydanticAIAdapter", "ScheduledModel"]
