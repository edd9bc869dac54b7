"""Calling Redis until it has answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from loco_redis._endpoint import AsyncClient
from loco_redis._library import Way
from loco_redis.orchestration._insisting import insist
from loco_redis.orchestration._scripts import Runner


class Caller:
    """Repeats what has got no answer, for `patience` seconds: all that is called may be repeated.

    Raises:
        BackendError: of each call, in its typed form.
    """

    def __init__(self, client: AsyncClient, way: Way, where: str, patience: float) -> None:
        self.client, self.where = client, where
        self._patience = patience
        self._runner = Runner(client, way)
        self._doubt = False

    def take_doubt(self) -> bool:
        """Whether a reply may have been lost since this was asked last."""
        doubt, self._doubt = self._doubt, False
        return doubt

    async def run(
        self,
        script: str,
        *args: Any,
        keys: tuple[bytes, ...],
        patience: float | None = None,
    ) -> Any:
        async def call() -> Any:
            return await self._runner.run(script, keys, args)

        return await self._insist(script, call, patience)

    async def command(self, *args: Any) -> Any:
        async def call() -> Any:
            return await self.client.execute_command(*args)

        return await self._insist(str(args[0]), call)

    async def _insist(
        self, name: str, call: Callable[[], Awaitable[Any]], patience: float | None = None
    ) -> Any:
        return await insist(
            call,
            what=name,
            where=self.where,
            patience=self._patience if patience is None else patience,
            on_failure=self._be_in_doubt,
        )

    def _be_in_doubt(self) -> None:
        self._doubt = True
