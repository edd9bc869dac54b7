"""What a configuration file says, section by section. `docs/agent_scheduler.md` explains it.

The description of each field completes "<field> must be ..." in errors, and stands in
`schema.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, model_validator

from loco_redis._endpoint import Endpoint
from loco_redis._limits import LIMITS
from loco_redis._validate import NAME_PATTERN, NAME_RULE
from loco_redis.orchestration.agents._section import Seconds, Section, Text, complaint
from loco_redis.orchestration.agents.backends import BackendSection
from loco_redis.orchestration.routing import Backend
from loco_redis.orchestration.routing.settings import Strategy

_HANDLER = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"


class RedisSection(Section):
    """Where Redis is, and the resource by which the agents share it."""

    url: SecretStr | None = Field(
        default=None, strict=False, description="a URL, such as redis://localhost:6379/0"
    )
    host: Text | None = None
    port: int = Field(default=6379, ge=1, le=65_535, description="an int from 1 to 65535")
    db: int = Field(default=0, ge=0, le=10**6, description="an int from 0")
    username: Text | None = None
    password: SecretStr | None = Field(default=None, strict=False, description="a text")
    tls: bool = Field(default=False, description="true or false")
    resource: str = Field(default="agents", pattern=f"^{NAME_PATTERN}$", description=NAME_RULE)
    capacity: int | None = Field(
        default=None,
        ge=1,
        le=10**6,
        description="the most messages at work at once, over all processes",
    )
    lease_ttl: float | None = Field(
        default=None,
        ge=0.2,
        le=3600,
        description="from 0.2 to 3600 seconds: a silent process is dead then",
    )
    backend_timeout: float = Field(
        default=30.0, gt=0, le=86_400, description="seconds to try for when Redis does not answer"
    )
    result_ttl: float = Field(
        default=300.0, ge=1, le=10**8, description="seconds for which replies are kept, from 1"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.url is not None and self.host is not None:
            raise complaint("stands beside url: give one of them", "host")
        if self.url is not None:
            try:
                Endpoint.parse(self.url.get_secret_value())
            except ValueError as error:
                raise complaint(f"is no URL of Redis: {error}", "url") from None
        if self.host is None and (
            extra := self.model_fields_set & {"port", "db", "username", "password", "tls"}
        ):
            name = min(extra)
            raise complaint("needs host beside it: give host, or all of it in url", name)
        return self

    def where(self) -> str | None:
        """The URL, credentials included; None: where the environment says."""
        if self.url is not None:
            return self.url.get_secret_value()
        if self.host is None:
            return None
        password = self.password.get_secret_value() if self.password is not None else ""
        login = ":".join(quote(part, safe="") for part in (self.username or "", password))
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme, at = "rediss" if self.tls else "redis", "@" if login != ":" else ""
        return f"{scheme}://{login if at else ''}{at}{host}:{self.port}/{self.db}"


class BackoffSection(Section):
    """How long a message whose handler failed waits for the next attempt: see `Backoff`."""

    base: float = Field(default=1.0, ge=0, le=86_400, description="seconds from 0")
    cap: float = Field(default=30.0, ge=0, le=86_400, description="seconds from 0")


class AgentSection(Section):
    """An agent, and who handles its messages."""

    id: str = Field(min_length=1, max_length=LIMITS.id, description="a text that is not empty")
    model: Text | None = None
    weight: float = Field(default=1.0, ge=1, le=1e9, description="a number from 1 to 1e9")
    max_concurrency: int | None = Field(
        default=None,
        ge=1,
        le=10**6,
        description="an int from 1: the most of its messages at work at once",
    )
    max_attempts: int = Field(default=3, ge=1, le=10**6, description="an int from 1")
    backoff: BackoffSection = BackoffSection()
    handler: str | None = Field(
        default=None, pattern=_HANDLER, description='"module:function", such as "my_agents:answer"'
    )


class ScalingSection(Section):
    """How many messages one process works on at once: it follows the backlog."""

    min_agents: int = Field(default=1, ge=1, le=10_000, description="an int from 1 to 10000")
    max_agents: int = Field(default=10, ge=1, le=10_000, description="an int from 1 to 10000")
    scaling_factor: float = Field(
        default=1.5, ge=0.01, le=100, description="lanes for each message, from 0.01 to 100"
    )
    interval: Seconds = 1.0
    cooldown: float = Field(default=10.0, ge=0, le=86_400, description="seconds from 0")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_agents < self.min_agents:
            raise complaint(
                f"makes max_agents {self.max_agents}, below min_agents {self.min_agents}",
                "max_agents" if "max_agents" in self.model_fields_set else "min_agents",
            )
        return self


class LoadBalancingSection(Section):
    """Which of several backends a message goes to."""

    strategy: Strategy = Field(default="least_loaded", description="one of the router's strategies")


class ConnectionPoolSection(Section):
    """The HTTP client of each backend, one for each process."""

    max_connections: int = Field(default=100, ge=1, le=10**6, description="an int from 1")
    timeout: Seconds = 30.0


class AgentSchedulerConfig(Section):
    """The whole configuration: the same in all processes.

    Raises:
        ValueError: `pydantic.ValidationError`, which names each field; `AgentScheduler` words
            those of a file with line and column.
    """

    redis: RedisSection = RedisSection()
    agents: Sequence[AgentSection] = Field(
        min_length=1, max_length=10_000, description="a list of agents, at least one"
    )
    backends: Sequence[BackendSection] = Field(
        default=(), max_length=100, description="a list of backends"
    )
    scaling: ScalingSection = ScalingSection()
    load_balancing: LoadBalancingSection = LoadBalancingSection()
    connection_pool: ConnectionPoolSection = ConnectionPoolSection()

    @model_validator(mode="before")
    @classmethod
    def _no_kafka(cls, given: Any) -> Any:
        if isinstance(given, dict) and "kafka" in given:
            raise complaint(
                "is not needed, Redis carries the messages: write instead "
                "`redis: {url: redis://localhost:6379/0}`",
                "kafka",
            )
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _once("agents", "id", [agent.id for agent in self.agents])
        _once("backends", "name", [backend.name for backend in self.backends])
        served = {backend.model for backend in self.backends}
        for at, agent in enumerate(self.agents):
            if self.backends and agent.model is not None and not served & {None, agent.model}:
                raise complaint(
                    f"{agent.model!r} is served by no backend: add one with this model",
                    *("agents", at, "model"),
                )
        try:
            self.routed()
        except ValueError as error:
            raise complaint(str(error), "backends") from None
        return self

    @property
    def capacity(self) -> int:
        """Of the resource: as given, else the sum over the backends, else that of the agents'
        `max_concurrency` where each has one, else `max_connections`."""
        if self.redis.capacity is not None:
            return self.redis.capacity
        if self.backends:
            return sum(backend.capacity for backend in self.backends)
        most = [agent.max_concurrency for agent in self.agents]
        caps = [cap for cap in most if cap is not None]
        return sum(caps) if len(caps) == len(most) else self.connection_pool.max_connections

    def routed(self) -> list[Backend]:
        """The backends as a `Router` takes them. ValueError names one that cannot be."""
        pool = self.connection_pool
        is_priced = not self.backends or any(backend.is_priced for backend in self.backends)
        if self.load_balancing.strategy == "cost_aware" and not is_priced:
            raise ValueError("have no price, which cost_aware needs: give price_in, price_out")
        return [each.routed(pool.max_connections, pool.timeout) for each in self.backends]


def _once(section: str, field: str, names: Iterable[str]) -> None:
    seen: dict[str, int] = {}
    for at, name in enumerate(names):
        if name in seen:
            raise complaint(f"{name!r} is there twice: give each {field} once", section, at, field)
        seen[name] = at
