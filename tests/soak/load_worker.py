"""A process of the load: callers that do nothing but pass through slots.

    python -m tests.soak.load_worker URL CALLERS

When a line comes in on stdin they ask no more, and the tokens they were given go out as one line of
JSON, with what became of each acquire.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from array import array
from collections import Counter
from typing import Any

from loco_redis import AsyncLOCOScheduler, LocoRedisError, SharedResource

NAME = "load"
_TIMEOUTS = (None, None, None, 60.0)
_SAMPLES = 200_000  # waits that are kept: a reservoir


class Tally:
    """What became of this process' acquires. `given` are tokens whose body has begun."""

    def __init__(self) -> None:
        self.asked = 0
        self.ended: Counter[str] = Counter()
        self.given = array("q")
        self.waits = array("f", [0.0] * _SAMPLES)  # its room is taken at once: memory stays flat
        self._rng = random.Random(os.getpid())

    def begun(self, token: int, waited: float) -> None:
        number = self.ended["body"]
        at = number if number < _SAMPLES else self._rng.randrange(number + 1)
        if at < _SAMPLES:
            self.waits[at] = waited
        self.ended["body"] += 1
        self.given.append(token)

    def told(self) -> dict[str, Any]:
        waits = self.waits[: min(self.ended["body"], _SAMPLES)].tolist()
        return {"asked": self.asked, "ended": self.ended, "waits": waits}


def tell(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def call(
    scheduler: AsyncLOCOScheduler, tally: Tally, number: int, ended: asyncio.Event
) -> None:
    """One caller's life. Each acquire is counted when it is asked for and when it ends."""
    while not ended.is_set():
        tally.asked += 1
        asked = time.monotonic()
        timeout = _TIMEOUTS[number % len(_TIMEOUTS)]
        try:
            async with scheduler.acquire(
                f"agent-{number % 50}", weight=1.0, timeout=timeout
            ) as lease:
                tally.begun(lease.token, time.monotonic() - asked)
                await asyncio.sleep(0)
        except LocoRedisError as error:
            tally.ended[type(error).__name__] += 1


async def main(url: str, callers: int) -> None:
    tally, ended = Tally(), asyncio.Event()
    loop = asyncio.get_running_loop()
    async with AsyncLOCOScheduler([], SharedResource(NAME, None), redis=url) as scheduler:
        tell(event="open")
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(call(scheduler, tally, number, ended))
            while (line := await loop.run_in_executor(None, sys.stdin.readline)) == "look\n":
                # Tokens go out as they come, so that nothing of a run piles up here.
                given, tally.given = tally.given, array("q")
                tell(event="given", tokens=given.tolist())
            if not line:
                os._exit(1)
            ended.set()
    tell(event="given", tokens=tally.given.tolist())
    tell(event="ended", **tally.told())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
