"""Configurations for tests."""

from __future__ import annotations

from typing import Any

from loco_redis.orchestration.agents import (
    AgentSchedulerConfig,
    AgentSection,
    RedisSection,
    ScalingSection,
)

NAME = "agents"

#: The sample of the system whose jobs this covers, with `redis` in place of `kafka`.
SAMPLE = """\
redis:
  url: "redis://localhost:6379/0"

agents:
  - id: "agent1"
    model: "gpt-3.5-turbo"
  - id: "agent2"
    model: "gpt-4"

scaling:
  min_agents: 2
  max_agents: 10
  scaling_factor: 1.5

load_balancing:
  strategy: "round_robin"

connection_pool:
  max_connections: 100
  timeout: 30
"""


def config(
    *agents: AgentSection, lanes: tuple[int, int] = (1, 4), capacity: int = 100, **sections: Any
) -> AgentSchedulerConfig:
    """Of an agent "echo" and others, with short leases."""
    low, high = lanes
    return AgentSchedulerConfig(
        redis=RedisSection(resource=NAME, capacity=capacity, lease_ttl=2.0, backend_timeout=5.0),
        agents=[AgentSection(id="echo"), *agents],
        **{"scaling": ScalingSection(min_agents=low, max_agents=high, interval=0.2), **sections},
    )
