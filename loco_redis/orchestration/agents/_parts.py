"""What a configuration makes: the scheduler of the agents' slots, and the router to backends."""

from __future__ import annotations

from loco_redis._endpoint import Endpoint
from loco_redis.models import Agent, SharedResource
from loco_redis.orchestration.agents.settings import AgentSchedulerConfig
from loco_redis.orchestration.routing import Router
from loco_redis.scheduler import AsyncLOCOScheduler


def core_of(config: AgentSchedulerConfig, endpoint: Endpoint) -> AsyncLOCOScheduler:
    """Not open yet."""
    settings = config.redis
    agents = [Agent(agent.id, agent.model or "", agent.max_concurrency) for agent in config.agents]
    return AsyncLOCOScheduler(
        agents,
        SharedResource(settings.resource, config.capacity),
        redis=endpoint.given or endpoint.url,
        lease_ttl=settings.lease_ttl,
        backend_timeout=settings.backend_timeout,
    )


def router_of(config: AgentSchedulerConfig, endpoint: Endpoint) -> Router | None:
    """Not open yet; it opens when it is first used. None without backends."""
    if not config.backends:
        return None
    return Router(
        config.redis.resource,
        config.routed(),
        endpoint.given or endpoint.url,
        strategy=config.load_balancing.strategy,
        lease_ttl=config.redis.lease_ttl,
        backend_timeout=config.redis.backend_timeout,
    )
