"""What a configuration means, from a file or typed."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from loco_redis.orchestration.agents import (
    AgentScheduler,
    AgentSchedulerConfig,
    AgentSection,
    RedisSection,
    _schema,
)
from loco_redis.orchestration.agents._file import parse
from tests.orchestration.agents.configs import SAMPLE

ONE = "agents: [{id: a}]\n"


def test_the_sample_is_read() -> None:
    """The sample of the system that this stands in for, with `redis` in place of `kafka`."""
    config = parse(SAMPLE)
    assert [(agent.id, agent.model) for agent in config.agents] == [
        ("agent1", "gpt-3.5-turbo"),
        ("agent2", "gpt-4"),
    ]
    scaling = config.scaling
    assert (scaling.min_agents, scaling.max_agents, scaling.scaling_factor) == (2, 10, 1.5)
    assert config.load_balancing.strategy == "round_robin"
    assert (config.connection_pool.max_connections, config.connection_pool.timeout) == (100, 30)
    assert config.redis.where() == "redis://localhost:6379/0"
    assert config.capacity == 100


def test_variables_of_the_environment_are_filled_in() -> None:
    """`${NAME}` in a value, `${NAME:-default}`; a number where one is wanted, a text elsewhere."""
    text = f"{ONE}redis:\n  host: ${{HOST:-db}}\n  port: ${{PORT}}\n  password: ${{PASSWORD}}\n"
    config = parse(text, environment={"PORT": "7000", "PASSWORD": "0123"})
    assert config.redis.where() == "redis://:0123@db:7000/0"
    text = f'{ONE}redis: {{url: "redis://${{HOST}}:${{PORT}}/2"}}'
    config = parse(text, environment={"HOST": "h", "PORT": "1"})
    assert config.redis.where() == "redis://h:1/2"


def test_nothing_shows_a_secret() -> None:
    """Neither the configuration nor a scheduler made of it."""
    text = f"{ONE}redis: {{host: h, username: u, password: sesame}}"
    backend = "\nbackends: [{name: b, capacity: 1, provider: openai, api_key: sesame}]"
    config = parse(text + backend)
    shown = repr(config) + str(config) + repr(AgentScheduler(config)) + repr(config.routed())
    assert "sesame" not in shown
    assert config.redis.where() == "redis://u:sesame@h:6379/0"
    with pytest.raises(ValidationError) as caught:
        RedisSection(url="http://:sesame@h")  # type: ignore[arg-type]
    assert "sesame" not in str(caught.value)


def test_without_pyyaml_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install; a typed configuration needs nothing."""

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name, name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"loco-redis\[yaml\]"):
        parse(SAMPLE)
    assert AgentSchedulerConfig(agents=[AgentSection(id="a")]).capacity == 100


def test_a_typed_configuration_is_checked_too() -> None:
    """Unknown keys, wrong types, agents twice: ValueErrors that name the field."""
    with pytest.raises(ValueError, match="modell"):
        AgentSection(id="a", modell="x")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="weight"):
        AgentSection(id="a", weight="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'a' is there twice"):
        AgentSchedulerConfig(agents=[AgentSection(id="a"), AgentSection(id="a")])
    with pytest.raises(ValueError, match="one of them"):
        AgentScheduler()
    with pytest.raises(ValueError, match="must be an AgentSchedulerConfig"):
        AgentScheduler({"agents": []})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "capacity"),
    [
        ("agents: [{id: a, max_concurrency: 3}, {id: b, max_concurrency: 4}]", 7),
        ("agents: [{id: a, max_concurrency: 3}, {id: b}]", 100),
        ("agents: [{id: a}]\nbackends: [{name: x, capacity: 2}, {name: y, capacity: 3}]", 5),
        ("agents: [{id: a, max_concurrency: 3}]\nredis: {capacity: 9}", 9),
    ],
)
def test_the_capacity_follows_from_what_is_given(text: str, capacity: int) -> None:
    """As given, else the backends', else the agents' if each has a cap, else the connections."""
    assert parse(text).capacity == capacity


def test_the_schema_that_ships_is_that_of_the_models() -> None:
    """`python -m loco_redis.orchestration.agents._schema` makes it anew."""
    assert json.loads(_schema.PATH.read_text("utf-8")) == json.loads(_schema.text())


def test_the_schema_knows_the_sample() -> None:
    """Every section and key of it, and no others; so an editor marks what would be refused."""
    schema = json.loads(_schema.PATH.read_text("utf-8"))
    sample = yaml.safe_load(SAMPLE)
    assert sample.keys() <= schema["properties"].keys()
    parts = [schema, *schema["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in parts)
    assert all("description" in part for part in parts)
    for name, section in sample.items():
        part = schema["properties"][name]
        entry = section[0] if isinstance(section, list) else section
        where = part["items"] if isinstance(section, list) else part
        found = schema["$defs"][where["$ref"].rpartition("/")[2]]
        assert entry.keys() <= found["properties"].keys()
