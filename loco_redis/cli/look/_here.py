"""What `loco-redis doctor` finds in this process' own surroundings."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

from loco_redis import _log
from loco_redis._endpoint import FALLBACK_URL_VARIABLE, SCRIPTS_VARIABLE
from loco_redis._server import BINARY_VARIABLE
from loco_redis._shared_server import URL_VARIABLE
from loco_redis._url import redact
from loco_redis.adapters.catalogue import FRAMEWORKS
from loco_redis.observe.diagnosis import Finding, note, ok

_URLS = (URL_VARIABLE, FALLBACK_URL_VARIABLE)
_VARIABLES = (*_URLS, SCRIPTS_VARIABLE, BINARY_VARIABLE, _log.VARIABLE, "NO_COLOR")


def here(where: str, redis: str | None) -> Iterator[Finding]:
    """`where`: the server's redacted URL; `redis`: the option, if it was given."""
    origin = "--redis" if redis else next(name for name in _URLS if os.environ.get(name))
    yield ok("url", f"{where} (from {origin})")
    yield versions()
    yield environment(os.environ)


def versions() -> Finding:
    known = f"loco-redis {version('loco-redis')}, redis-py {version('redis')}"
    python = f"Python {platform.python_version()}"
    if (hiredis := _version("hiredis")) is None:
        advice = "pip install hiredis: replies are parsed several times as fast"
        return note("versions", f"{known}, no hiredis, {python}", advice)
    return ok("versions", f"{known}, hiredis {hiredis}, {python}")


def frameworks() -> Iterator[Finding]:
    """Those that are installed, with what puts their adapters to use."""
    is_none = True
    for framework in FRAMEWORKS:
        number = framework.installed
        if number is None:
            continue
        is_none = False
        text = f"{framework.distribution} {number}, tested {framework.tested}"
        if framework.is_tested(number):
            yield Finding(framework.name, "ok", text, framework.lines)
        else:
            wanted = f"pip install 'loco-redis[{framework.extra}]' takes a tested version"
            yield note(framework.name, f"{text}: this one was not", wanted)
    if is_none:
        names = ", ".join(framework.name for framework in FRAMEWORKS)
        yield ok("frameworks", f"none is installed of those with an adapter: {names}")


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
