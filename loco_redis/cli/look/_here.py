"""What `loco-redis doctor` finds in this process' own surroundings."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from loco_redis import _log
from loco_redis._endpoint import FALLBACK_URL_VARIABLE
from loco_redis._server import BINARY_VARIABLE
from loco_redis._shared_server import URL_VARIABLE
from loco_redis._url import redact
from loco_redis.observe.diagnosis import Finding, note, ok

# Distribution -> the adapter that is for it.
_FRAMEWORKS = {
    "anthropic": "anthropic",
    "openai": "openai",
    "google-adk": "google_adk",
    "google-genai": "google_genai",
    "langchain": "langchain",
    "langchain-core": "langchain",
    "langgraph": "langgraph",
    "llama-index-core": "llama_index",
    "crewai": "crewai",
    "autogen-agentchat": "autogen",
    "autogen-core": "autogen",
    "azure-ai-inference": "azure",
    "boto3": "bedrock",
    "litellm": "litellm",
    "mistralai": "mistral",
    "openai-agents": "openai_agents",
    "pydantic-ai": "pydantic_ai",
}
_URLS = (URL_VARIABLE, FALLBACK_URL_VARIABLE)
_VARIABLES = (*_URLS, BINARY_VARIABLE, _log.VARIABLE, "NO_COLOR")


def here(where: str, redis: str | None) -> Iterator[Finding]:
    """`where`: the server's redacted URL; `redis`: the option, if it was given."""
    origin = "--redis" if redis else next(name for name in _URLS if os.environ.get(name))
    yield ok("url", f"{where} (from {origin})")
    yield versions()
    yield frameworks()
    yield environment(os.environ)


def versions() -> Finding:
    known = f"loco-redis {version('loco-redis')}, redis-py {version('redis')}"
    python = f"Python {platform.python_version()}"
    if (hiredis := _version("hiredis")) is None:
        advice = "pip install hiredis: replies are parsed several times as fast"
        return note("versions", f"{known}, no hiredis, {python}", advice)
    return ok("versions", f"{known}, hiredis {hiredis}, {python}")


def frameworks() -> Finding:
    found = {name: told for name in _FRAMEWORKS if (told := _version(name))}
    if not found:
        return ok("frameworks", "none of those for which there are adapters or will be")
    if find_spec("loco_redis.adapters") is None:
        told = ", ".join(f"{name} {number}" for name, number in found.items())
        return ok("frameworks", f"{told}; adapters come with a later version")
    told = ", ".join(f"{name} {number} ({_adapter(name)})" for name, number in found.items())
    return ok("frameworks", told)


def _adapter(name: str) -> str:
    module = f"loco_redis.adapters.{_FRAMEWORKS[name]}"
    return module if find_spec(module) else "no adapter"


def environment(variables: Mapping[str, str]) -> Finding:
    told = [
        f"{name}={redact(value) if name in _URLS else value}"
        for name in _VARIABLES
        if (value := variables.get(name))
    ]
    text = ", ".join(told) or "none of our variables is set"
    form = variables.get(_log.VARIABLE, "").strip()
    if form and form.lower() not in _log.FORMS:
        return note("environment", text, f"set {_log.VARIABLE} to {' or '.join(_log.FORMS)}")
    return ok("environment", text)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
