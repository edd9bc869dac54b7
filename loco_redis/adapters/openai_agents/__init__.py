"""The OpenAI Agents SDK: each request to a model waits for its slot.

- `adapter.py` `OpenAIAgentsAdapter`: a model provider, and what makes others' scheduled
- `_model.py`  a model whose requests wait
"""

from loco_redis.adapters.openai_agents.adapter import OpenAIAgentsAdapter

__all__ = ["OpenAIAgentsAdapter"]
