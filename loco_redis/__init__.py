"""Fair, crash-safe scheduling of shared capacity across processes and hosts, through Redis."""

from loco_redis._acquisition import AcquireHandle
from loco_redis.blocking import BlockingLease, LOCOScheduler
from loco_redis.errors import (
    AcquireTimeoutError,
    AgentBusyError,
    BackendError,
    BackendMemoryError,
    BackendUnavailableError,
    BackendVersionError,
    BackpressureError,
    ConfigConflictError,
    ConfigMismatchError,
    ForkedError,
    LeaseLostError,
    LocoRedisError,
    ReentrantAcquireError,
    SessionExpiredError,
    ShutdownError,
    TaskRunningError,
    UnknownAgentError,
    UnknownTaskError,
)
from loco_redis.lease import Lease
from loco_redis.metrics import SchedulerMetrics
from loco_redis.models import (
    Agent,
    AgentSnapshot,
    Holder,
    SessionSnapshot,
    SharedResource,
    Snapshot,
    Task,
    Waiter,
)
from loco_redis.scheduler import AsyncLOCOScheduler

__all__ = [
    "AcquireHandle",
    "AcquireTimeoutError",
    "Agent",
    "AgentBusyError",
    "AgentSnapshot",
    "AsyncLOCOScheduler",
    "BackendError",
    "BackendMemoryError",
    "BackendUnavailableError",
    "BackendVersionError",
    "BackpressureError",
    "BlockingLease",
    "ConfigConflictError",
    "ConfigMismatchError",
    "ForkedError",
    "Holder",
    "LOCOScheduler",
    "Lease",
    "LeaseLostError",
    "LocoRedisError",
    "ReentrantAcquireError",
    "SchedulerMetrics",
    "SessionExpiredError",
    "SessionSnapshot",
    "SharedResource",
    "ShutdownError",
    "Snapshot",
    "Task",
    "TaskRunningError",
    "UnknownAgentError",
    "UnknownTaskError",
    "Waiter",
]
