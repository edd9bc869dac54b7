"""Runs `worker.py` in several processes at once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.workers import ROOT

SCRIPT = Path(__file__).with_name("worker.py")


async def run(processes: int, *arguments: object) -> list[Any]:
    """What each has told; all have ended well."""
    return list(await asyncio.gather(*(_one(*map(str, arguments)) for _ in range(processes))))


async def _one(*arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", str(SCRIPT), *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return json.loads(told)
