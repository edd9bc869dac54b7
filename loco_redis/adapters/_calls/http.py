"""What httpx and httpx2 share: the same classes in two modules, which do not take each other's."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

MODULES = ("httpx2", "httpx")


def module_of(value: object) -> ModuleType:
    """The module that a client, request or response is of.

    Raises:
        ValueError: neither of the two.
    """
    for kind in type(value).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in MODULES:
            return sys.modules[root]
    raise ValueError(f"it must be an object of httpx or httpx2, got {type(value).__qualname__}")


def changed(request: Any, content: bytes | None, without: str) -> Any:
    """A copy of the request that asks for an answer which can be read on its way: not compressed.
    With another body, unless `content` is None, and without one header."""
    headers = request.headers.copy()
    headers.pop(without, None)
    headers["accept-encoding"] = "identity"
    if content is None:
        content = request.content
    else:
        headers.pop("transfer-encoding", None)
        headers["content-length"] = str(len(content))
    return type(request)(
        request.method,
        request.url,
        headers=headers,
        content=content,
        extensions=request.extensions,
    )
