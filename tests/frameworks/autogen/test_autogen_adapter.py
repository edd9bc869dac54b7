"""The adapter as an object: what it takes, and says when something is missing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from loco_redis import LOCOScheduler, SharedResource
from loco_redis.adapters.autogen import AutoGenAdapter


def test_bad_arguments() -> None:
    blocking = LOCOScheduler((), SharedResource("llm", 1))
    adapter = AutoGenAdapter()
    assert repr(adapter) == "<AutoGenAdapter of the configured scheduler>"
    cases: list[tuple[Any, str]] = [
        (lambda: AutoGenAdapter(blocking), "an async client needs an AsyncLOCOScheduler"),
        (lambda: AutoGenAdapter(weight=-1), "weight"),
        (lambda: adapter.client("gpt-5"), "client must be a ChatCompletionClient, got 'gpt-5'"),
    ]
    for make, says in cases:
        with pytest.raises(ValueError, match=says):
            make()


def test_missing_package() -> None:
    """Without AutoGen the module says how to install it."""
    program = "import sys; sys.modules['autogen_core'] = None; import loco_redis.adapters.autogen"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.rstrip().endswith(
        "ModuleNotFoundError: autogen_core is not installed: pip install 'loco-redis[autogen]'"
    )
