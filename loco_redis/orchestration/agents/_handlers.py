"""Who handles an agent's messages: named in the configuration, given in code, or built in."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from loco_redis import _validate as validate
from loco_redis.orchestration.agents._builtin import ChatHandler
from loco_redis.orchestration.agents.call import AgentCall
from loco_redis.orchestration.agents.settings import AgentSchedulerConfig, AgentSection

#: `handler(message, call)` returns the reply: a JSON value, or an awaitable of one.
AgentHandler = Callable[[Any, AgentCall], Awaitable[Any]] | Callable[[Any, AgentCall], Any]

ANY = "*"


def check_given(config: AgentSchedulerConfig, given: Mapping[str, AgentHandler]) -> None:
    """Each is callable and is for an agent, a model, or all. Raises ValueError."""
    known = {agent.id for agent in config.agents}
    known |= {agent.model for agent in config.agents if agent.model is not None}
    for name, handler in given.items():
        if not callable(handler):
            raise ValueError(
                f"the handler of {name!r} must be callable, got {validate.shown(handler)}"
            )
        if name != ANY and name not in known:
            raise ValueError(f"handlers name {name!r}: {unknown(name, known, 'agents and models')}")


def handlers_of(
    config: AgentSchedulerConfig, given: Mapping[str, AgentHandler]
) -> dict[str, AgentHandler]:
    """By agent id.

    Raises:
        ValueError: an agent has none, or its function is not there; says what to write.
    """
    return {agent.id: _handler_of(agent, config, given) for agent in config.agents}


def unknown(name: str, known: set[str], what: str) -> str:
    """What is said of a name that is none of the known."""
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(sorted(known)[:10]) + (", ..." if len(known) > 10 else "")
    return f"the {what} of the configuration are {shown}"


def _handler_of(
    agent: AgentSection, config: AgentSchedulerConfig, given: Mapping[str, AgentHandler]
) -> AgentHandler:
    if agent.id in given:
        return given[agent.id]
    if agent.handler is not None:
        return _imported(agent.id, agent.handler)
    if agent.model is not None and agent.model in given:
        return given[agent.model]
    if ANY in given:
        return given[ANY]
    backends = {each.name: each for each in config.backends if agent.model in (None, each.model)}
    backends |= {each.name: each for each in config.backends if each.model is None}
    if backends and all(each.provider is not None for each in backends.values()):
        return ChatHandler(backends)
    raise ValueError(
        f"agent {agent.id!r} has no handler: write `handler: module:function` in the "
        f"configuration, give handlers={{{agent.id!r}: function}}, name the provider of its "
        "backends, or use serve=False in a process that only sends"
    )


def _imported(agent_id: str, name: str) -> AgentHandler:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"handler {name!r} of agent {agent_id!r} is not there: {error}") from error
    if not callable(found):
        raise ValueError(
            f"handler {name!r} of agent {agent_id!r} must be a function, got "
            f"{validate.shown(found)}"
        )
    handler: AgentHandler = found
    return handler
