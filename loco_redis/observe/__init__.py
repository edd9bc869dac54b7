"""Looking at the state of resources without taking part: no session, nothing written.

| module | what |
|---|---|
| `observer` | `Observer`: one resource: its numbers, agents, holders, waiters, sessions, tasks |
| `registry` | which resources there are in a server |
| `orders` | when durable tasks are due and until when, why they failed |
| `explain` | why an agent waits: the ranking by L(i), and what blocks it |
| `events` | the decision log; `tail` follows it |
| `rules`, `figures` | rules and accounts of governance; costs, waits, refusals |
| `diagnosis`, `condition` | what `doctor` finds of a server, of a resource |
| `link` | the connection, blocking, and what its errors mean |
"""

from loco_redis.observe.events import Event
from loco_redis.observe.link import Link
from loco_redis.observe.observer import Observer
from loco_redis.observe.registry import resource_names

__all__ = ["Event", "Link", "Observer", "resource_names"]
