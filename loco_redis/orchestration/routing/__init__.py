"""Requests to one of several backends: who decides is one script for the whole fleet.

- `router.py`     `Router`: route, call, snapshot
- `route.py`      `Route`: what a request was given
- `settings.py`   `Backend`, `Http`, `Breaker`, `RouterBudget`
- `snapshots.py`  what people see
- `_passage.py`   one request: decide, acquire, report
- `_fleet.py`     the typed scripts; `_store.py` how they are run
- `_clients.py`   one HTTP client for each backend
"""

from loco_redis.errors import BackendFailure, NoBackendError
from loco_redis.orchestration.routing.route import Route
from loco_redis.orchestration.routing.router import Router
from loco_redis.orchestration.routing.settings import Backend, Breaker, Http, RouterBudget
from loco_redis.orchestration.routing.snapshots import BackendSnapshot, RouterSnapshot

__all__ = [
    "Backend",
    "BackendFailure",
    "BackendSnapshot",
    "Breaker",
    "Http",
    "NoBackendError",
    "Route",
    "Router",
    "RouterBudget",
    "RouterSnapshot",
]
