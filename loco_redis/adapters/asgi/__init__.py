"""A slot for each request of an ASGI app.

- `middleware.py` `SlotMiddleware`
- `_agents.py`    which agent a request is of
- `_inbox.py`     what the client sends, listened to while the app does not
- `_answer.py`    what the app sends, until its last byte
"""

from loco_redis.adapters.asgi._agents import by_header, by_path, by_user
from loco_redis.adapters.asgi.middleware import LEASE, SlotMiddleware

__all__ = ["LEASE", "SlotMiddleware", "by_header", "by_path", "by_user"]
