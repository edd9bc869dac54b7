"""The middleware as objects: what they take, and say when something is missing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from agent_framework import AgentMiddleware, ChatMiddleware

from loco_redis import LOCOScheduler, SharedResource
from loco_redis.adapters.agent_framework import SchedulerAgentMiddleware, SchedulerChatMiddleware


def test_kinds() -> None:
    """The framework sorts its middleware by their classes."""
    chat, agent = SchedulerChatMiddleware(), SchedulerAgentMiddleware()
    assert isinstance(chat, ChatMiddleware)
    assert isinstance(agent, AgentMiddleware)
    assert repr(chat) == "<SchedulerChatMiddleware of the configured scheduler>"
    assert repr(agent) == "<SchedulerAgentMiddleware of the configured scheduler>"


@pytest.mark.parametrize("kind", [SchedulerChatMiddleware, SchedulerAgentMiddleware])
def test_bad_arguments(kind: Any) -> None:
    blocking = LOCOScheduler((), SharedResource("llm", 1))
    cases: list[tuple[Any, str]] = [
        (lambda: kind(blocking), "an async client needs an AsyncLOCOScheduler"),
        (lambda: kind(weight=-1), "weight"),
        (lambda: kind(agent_id=""), "agent id must not be empty"),
    ]
    for make, says in cases:
        with pytest.raises(ValueError, match=says):
            make()


def test_missing_package() -> None:
    """Without the framework the module says how to install it."""
    module = "loco_redis.adapters.agent_framework"
    program = f"import sys; sys.modules['agent_framework'] = None; import {module}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.rstrip().endswith(
        "ModuleNotFoundError: agent_framework is not installed: "
        "pip install 'loco-redis[agent-framework]'"
    )
