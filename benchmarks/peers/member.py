"""One process of a crew: does what its parent says, an order a line, and answers each.

    python -m benchmarks.peers.member module:function '{"its": "arguments"}'

`function(orders, **arguments)` is a coroutine function that answers once when it is ready, and
once for each order. Anything else that is printed goes to stderr; log records go nowhere.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any


def found(place: str) -> Any:
    """What "module:name" names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


class Orders:
    """What the parent says, one after the other, until it says no more."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def answer(self, value: object) -> None:
        self._out.write(json.dumps(value) + "\n")
        self._out.flush()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            yield json.loads(line)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(found(sys.argv[1])(Orders(), **json.loads(sys.argv[2])))
    os._exit(0)  # threads that a peer has left running would make the interpreter's end noisy
