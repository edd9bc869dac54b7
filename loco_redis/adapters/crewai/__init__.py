"""CrewAI: each call of an LLM waits for its slot, in whatever thread CrewAI makes it.

CrewAI's hooks and events are not used: an after-hook is left out at an error, and events come by a
thread of their own, so neither could give a slot back.

- `adapter.py` `CrewAIAdapter`: scheduled LLMs and crews
- `_llm.py`    classes of LLMs whose calls wait
"""

from loco_redis.adapters.crewai.adapter import CrewAIAdapter

__all__ = ["CrewAIAdapter"]
