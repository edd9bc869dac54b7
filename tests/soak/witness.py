"""What a worker tells the oracle: fenced writes, which are answered, and notes, which are not."""

from __future__ import annotations

import asyncio
import time
from collections import deque


class Witness:
    """A worker's connection to the oracle."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asked: deque[asyncio.Future[bool]] = deque()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, path: str, worker: int) -> Witness:
        witness = cls(*await asyncio.open_unix_connection(path))
        witness._writer.write(f"w {worker}\n".encode())
        return witness

    async def begin(self, slot: int, token: int, task: str = "") -> bool:
        return await self._ask(f"begin {slot} {token} {task or '-'} {time.monotonic()}")

    async def write(self, token: int) -> bool:
        return await self._ask(f"write {token}")

    def note(self, *words: object) -> None:
        self._writer.write(" ".join(map(str, words)).encode() + b"\n")

    async def aclose(self) -> None:
        await self._writer.drain()
        self._reading.cancel()
        self._writer.close()

    def _ask(self, line: str) -> asyncio.Future[bool]:
        """Answers come in the order of the questions, whoever still waits for them."""
        asked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._writer.write(line.encode() + b"\n")
        return asked

    async def _read(self) -> None:
        while line := await self._reader.readline():
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_result(line == b"1\n")
