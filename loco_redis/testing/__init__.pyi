"""The names for users' tests; `__init__.py` imports each from here when it is first used."""

from .loco_server import LocoServer
from .mocks import MockAgent, mock_agent, mock_resource
from .run_result import GrantStep, ReleaseStep, RunResult
from .scheduler_factory import BlockingSchedulerFactory, SchedulerFactory
from .sync_scheduler import SyncTestScheduler

__all__ = [
    "BlockingSchedulerFactory",
    "GrantStep",
    "LocoServer",
    "MockAgent",
    "ReleaseStep",
    "RunResult",
    "SchedulerFactory",
    "SyncTestScheduler",
    "mock_agent",
    "mock_resource",
]
