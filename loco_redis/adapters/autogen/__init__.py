"""AutoGen 0.7: each request to a model waits for its slot.

- `adapter.py` `AutoGenAdapter`: scheduled clients, and messages that are really delivered
- `_calls.py`  what a request asks for, what it has used, and how its token cancels it
"""

from loco_redis.adapters.autogen.adapter import AutoGenAdapter, ScheduledClient

__all__ = ["AutoGenAdapter", "ScheduledClient"]
