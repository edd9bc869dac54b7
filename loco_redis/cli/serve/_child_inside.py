"""One worker process of `loco-redis workers`, from within: it imports the handlers and serves until
SIGTERM, or until its parent is gone."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import loco_redis
from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.cli.play._inside import Parent

#: Whose lines are not the user's: this package, and Python's import.
_NOT_THEIRS = (str(Path(loco_redis.__file__).parent), "<frozen ", str(importlib.__file__))


class _Mouth(Parent):
    """Says by a pipe of its own: what handlers print goes to stderr, and confuses nobody."""

    def __init__(self, pipe: TextIO) -> None:
        super().__init__()
        self._pipe = pipe

    def say(self, event: str, **facts: object) -> None:
        # Without a parent there is nobody to tell.
        try:
            self._pipe.write(json.dumps({"event": event, **facts}) + "\n")
            self._pipe.flush()
        except BrokenPipeError:
            pass


async def load(spec: str) -> Mapping[str, Any]:
    """What `module:name` is, or gives when it is called, which may be awaited.

    Raises:
        ValueError: it is no mapping; whatever the import raises.
    """
    module, _, name = spec.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not isinstance(found, Mapping) and callable(found):
        found = found()
        if inspect.isawaitable(found):
            found = await found
    if not isinstance(found, Mapping):
        raise ValueError(
            f"{spec} must be a mapping of agents to handlers, or a function that gives one, "
            f"got a {type(found).__name__}"
        )
    return found


def worded(error: BaseException) -> str:
    """The error in one line, with the user's own line that raised it."""
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    places = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOT_THEIRS)
    ]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno))
    return f"{text} ({places[-1][0]} line {places[-1][1]})" if places else text


async def serve(parent: _Mouth, settings: dict[str, Any]) -> int:
    """Exit status 0 when it was stopped, 1 after an error, which it has told."""
    listening = asyncio.create_task(parent.listen(), name="parent")
    try:
        handlers = await load(settings["handlers"])
        async with AsyncLOCOScheduler(resource=SharedResource(settings["name"])) as scheduler:
            worker = scheduler.worker(
                handlers, concurrency=settings["concurrency"], grace=settings["grace"]
            )
            listening.add_done_callback(lambda _: worker.stop())
            running = asyncio.create_task(worker.run(), name="worker")
            await asyncio.sleep(0)  # from here on it handles signals
            parent.say("ready")
            await running
            parent.say("done", done=worker.done, failed=worker.failed)
        return 0
    except Exception as error:  # noqa: BLE001  whatever it is, the command has to show it
        parent.say("failed", error=worded(error))
        return 1
    finally:
        listening.cancel()


def main() -> None:
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # What a handler forks must not keep it open: its end is how the command learns of ours.
    os.register_at_fork(after_in_child=pipe.close)
    try:
        status = asyncio.run(serve(_Mouth(pipe), json.loads(sys.argv[1])))
    except SystemExit as error:  # of a module that ends the process when it is imported
        _Mouth(pipe).say("failed", error=f"the module has called exit({error.code!r})")
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
