"""Messages to agents and their replies, across processes, as a configuration file says.

- `async_scheduler.py`  `AsyncAgentScheduler`: start, send_message, stop
- `scheduler.py`        `AgentScheduler`: the same for code without an event loop
- `settings.py`         the configuration, section by section; `backends.py` one of them
- `call.py`             `AgentCall`: what a handler is given besides the message
- `_file.py`            reads a file, words what is wrong with it; `_document.py` where it stands
- `_handlers.py`        who handles an agent's messages; `_builtin.py` calls of OpenAI and Anthropic
- `_serving.py`         the serving half; `_scaling.py` how many lanes there should be
- `_schema.py`          makes `schema.json`
"""

from loco_redis.errors import ConfigFileError, ReplyTimeoutError
from loco_redis.orchestration.agents.async_scheduler import AsyncAgentScheduler
from loco_redis.orchestration.agents.backends import BackendSection
from loco_redis.orchestration.agents.call import AgentCall
from loco_redis.orchestration.agents.scheduler import AgentScheduler
from loco_redis.orchestration.agents.settings import (
    AgentSchedulerConfig,
    AgentSection,
    BackoffSection,
    ConnectionPoolSection,
    LoadBalancingSection,
    RedisSection,
    ScalingSection,
)

__all__ = [
    "AgentCall",
    "AgentScheduler",
    "AgentSchedulerConfig",
    "AgentSection",
    "AsyncAgentScheduler",
    "BackendSection",
    "BackoffSection",
    "ConfigFileError",
    "ConnectionPoolSection",
    "LoadBalancingSection",
    "RedisSection",
    "ReplyTimeoutError",
    "ScalingSection",
]
