"""Draws docs/images/ from a real run: `python docs/pictures.py`.

It starts a server and three worker processes that share four slots, runs the commands as anybody
would, and keeps what they print.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.config import resolve
from loco_redis.observe import Link, Observer

IMAGES = Path(__file__).with_name("images")
COMMANDS = {
    "status": ("status",),
    "top": ("top", "--no-stream"),
    "why": ("why", "batch"),
    "events": ("events", "--limit", "12"),
}
WORKERS = 3
COLUMNS = 96
RESOURCE = SharedResource("llm_api", capacity=4)
# Agent, weight, seconds between its calls, seconds that a call takes.
AGENTS = (
    ("webhook", 1.0, 0.5, 0.3),
    ("batch", 3.0, 0.1, 1.2),
    ("batch", 3.0, 0.1, 1.0),
    ("report/daily", 5.0, 2.0, 2.0),
    ("analyst", 2.0, 0.3, 0.5),
)


async def work(seed: int) -> None:
    """One worker process, for ever."""
    dice = random.Random(seed)
    async with AsyncLOCOScheduler(resource=RESOURCE, events=1000) as scheduler:

        async def calls(agent: str, weight: float, pause: float, length: float) -> None:
            while True:
                async with scheduler.acquire(agent, weight=weight):
                    await asyncio.sleep(dice.expovariate(1 / length))
                await asyncio.sleep(dice.expovariate(1 / pause))

        await asyncio.gather(*(calls(*agent) for agent in AGENTS))


@contextlib.contextmanager
def fleet() -> Iterator[dict[str, str]]:
    """Workers that have been busy for a while; yields the environment that names their server."""
    with resolve("embedded://").attached() as endpoint, Link(endpoint) as link:
        environment = {**os.environ, "LOCO_REDIS_URL": endpoint.url}
        workers = [
            subprocess.Popen([sys.executable, __file__, str(seed)], env=environment)
            for seed in range(WORKERS)
        ]
        try:
            wait_until_busy(Observer(link, RESOURCE.name))
            yield environment
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()


def wait_until_busy(observer: Observer) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(ValueError):  # nobody has opened it yet
            seen = observer.snapshot()
            waiting = {row.agent_id for row in observer.requests(seen).waiters}
            if seen.released >= 60 and {"batch", "webhook"} <= waiting:
                return
        time.sleep(0.1)
    raise TimeoutError("the workers are not busy")


def draw(name: str, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "loco_redis.cli", *arguments],
        env={**environment, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)},
        capture_output=True,
        text=True,
        check=True,
    )
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(ran.stdout.rstrip()))
    title = " ".join(("loco-redis", *arguments))
    console.save_svg(str(IMAGES / f"{name}.svg"), title=title, unique_id=name)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(work(int(sys.argv[1])))
    else:
        IMAGES.mkdir(exist_ok=True)
        with fleet() as fleet_environment:
            for picture, command in COMMANDS.items():
                draw(picture, command, fleet_environment)
