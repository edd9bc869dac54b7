"""The JSON schema of the configuration, for editors: `python -m
loco_redis.orchestration.agents._schema` writes `schema.json` anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loco_redis.orchestration.agents.settings import AgentSchedulerConfig

PATH = Path(__file__).with_name("schema.json")


def text() -> str:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_alike(AgentSchedulerConfig.model_json_schema()),
    }
    schema["description"] = "The configuration of AgentScheduler (docs/agent_scheduler.md)."
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _alike(part: Any) -> Any:
    """The same of all versions of pydantic: older ones say `allOf: [x]` for x, and `minLength` of
    arrays."""
    if isinstance(part, list):
        return [_alike(each) for each in part]
    if not isinstance(part, dict):
        return part
    found = {name: _alike(each) for name, each in part.items()}
    inner = found.get("allOf")
    if isinstance(inner, list) and len(inner) == 1:
        del found["allOf"]
        found |= inner[0]
    if found.get("type") == "array":
        renamed = {"minLength": "minItems", "maxLength": "maxItems"}
        found = {renamed.get(name, name): each for name, each in found.items()}
    return found


if __name__ == "__main__":
    PATH.write_text(text(), "utf-8")
