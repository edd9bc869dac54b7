"""What is read in LangChain's objects, and what is said when LangChain is missing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from loco_redis.adapters import Usage
from loco_redis.adapters.langchain._reading import prompt_of, usage_of
from tests.frameworks.groups import ROOT

FORMS: list[tuple[dict[str, Any] | None, Usage | None]] = [
    (None, None),
    ({}, None),
    ({"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}, Usage(9, 0, 0, 5)),
    (
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 150,
            "input_token_details": {"priority_cache_read": 30, "priority_cache_creation": 20},
            "output_token_details": {"priority_reasoning": 7, "priority": 43},
        },
        Usage(50, 30, 20, 50, 7),
    ),
    (
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 150,
            "input_token_details": {
                "cache_creation": 0,
                "ephemeral_5m_input_tokens": 10,
                "ephemeral_1h_input_tokens": 20,
            },
        },
        Usage(70, 0, 30, 50, 0, 20),
    ),
    # the reasoning is in the total only
    ({"input_tokens": 9, "output_tokens": 5, "total_tokens": 20}, Usage(9, 0, 0, 11)),
    # more than there can be
    (
        {"input_tokens": 9, "output_tokens": 5, "input_token_details": {"cache_read": 99}},
        Usage(0, 9, 0, 5),
    ),
    ({"input_tokens": "9", "output_tokens": None, "input_token_details": []}, Usage()),
]


@pytest.mark.parametrize(("metadata", "usage"), FORMS)
def test_usage(metadata: Any, usage: Usage | None) -> None:
    """The input of `usage_metadata` includes the cache."""
    assert usage_of(metadata) == usage


def test_the_prompt_is_all_that_the_model_reads() -> None:
    call = {"name": "add", "args": {"a": "two"}, "id": "1"}
    messages = [HumanMessage([{"type": "text", "text": "one"}]), AIMessage("", tool_calls=[call])]
    prompt = prompt_of(messages, {"tools": [{"name": "add"}], "temperature": 1})
    text = {"type": "text", "text": "one"}
    assert prompt == [[{"name": "add"}], [text], [], "", [{"a": "two"}]]


MISSING = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import loco_redis.adapters
{program}
"""


@pytest.mark.parametrize(
    ("package", "program", "said"),
    [
        (
            "langchain_core",
            "import loco_redis.adapters.langchain",
            "langchain_core.* is not installed: pip install 'loco-redis[langchain]'",
        ),
        (
            "langchain",
            "from loco_redis.adapters.langchain import schedule, LOCOCallbackHandler\n"
            "from loco_redis.adapters.langchain import SchedulerMiddleware",
            "langchain is not installed: pip install 'loco-redis[langchain]' langchain",
        ),
    ],
)
def test_a_missing_package(package: str, program: str, said: str) -> None:
    code = MISSING.format(package=package, program=program)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    line = done.stderr.splitlines()[-1]
    start, _, end = said.partition(".*")
    assert line.startswith(f"ModuleNotFoundError: {start}"), done.stderr
    assert line.endswith(end or start)
