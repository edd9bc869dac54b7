"""A FastAPI app whose handlers do what tests tell them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

from loco_redis import AsyncLOCOScheduler
from loco_redis.adapters.asgi import SlotMiddleware
from loco_redis.adapters.fastapi import by_header, slot
from loco_redis.context import current
from tests.frameworks.gated import Gated

PIECE = b"x" * 65_536


class Shop(Gated):
    def by_middleware(self, **options: Any) -> Callable[[AsyncLOCOScheduler], FastAPI]:
        def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
            self.scheduler = scheduler
            app = FastAPI()
            app.include_router(self._routes())
            app.websocket("/ws")(self._ws)
            app.add_middleware(SlotMiddleware, scheduler=scheduler, **options)
            return app

        return make

    def by_dependency(self, **options: Any) -> Callable[[AsyncLOCOScheduler], FastAPI]:
        def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
            self.scheduler = scheduler
            app = FastAPI()
            arguments = {"agent": by_header(), **options}
            held = slot(scheduler, **arguments)
            app.include_router(self._routes(), dependencies=[Depends(held)])
            app.websocket("/ws")(self._ws)
            return app

        return make

    def _routes(self) -> APIRouter:
        router = APIRouter()
        for path, handler in {
            "/plain": self._plain,
            "/who": self.who,
            "/who-sync": self._who_sync,
            "/gated": self.gated,
            "/sync": self.sync,
            "/stream": self._stream,
            "/stream-sync": self._stream_sync,
            "/endless": self._endless,
            "/boom": self._boom,
            "/missing": self._missing,
            "/broken": self._broken,
            "/background": self._background,
        }.items():
            router.add_api_route(path, handler)
        router.add_api_route("/echo", self._echo, methods=["POST"])
        router.add_api_route("/form", self._form, methods=["POST"])
        return router

    async def _plain(self) -> str:
        return "ok"

    def _who_sync(self) -> dict[str, Any]:
        caller = current()
        return {"caller": caller and caller.agent_id}

    async def _stream(self) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"first\n"
                await self.gate.wait()
                yield b"last\n"
            finally:
                self.ended.append("stream")

        return StreamingResponse(pieces())

    async def _stream_sync(self) -> StreamingResponse:
        def pieces() -> Iterator[bytes]:
            yield b"first\n"
            self.go.wait(20)
            yield b"last\n"

        return StreamingResponse(pieces())

    async def _endless(self) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield PIECE
                    await asyncio.sleep(0)  # or else nothing else runs when nobody reads
            finally:
                self.ended.append("endless")

        return StreamingResponse(pieces())

    async def _boom(self) -> None:
        raise RuntimeError("boom")

    async def _missing(self) -> None:
        raise HTTPException(404, "missing")

    async def _broken(self) -> JSONResponse:
        return JSONResponse({"broken": True}, 503)

    async def _background(self, tasks: BackgroundTasks) -> str:
        tasks.add_task(self.gated)
        return "ok"

    async def _echo(self, request: Request) -> dict[str, Any]:
        body = await request.body()
        return {"bytes": len(body), "sum": sum(body)}

    async def _form(self, request: Request) -> dict[str, Any]:
        return {"held": (await self.scheduler.snapshot()).held, "body": len(await request.body())}

    async def _ws(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json({"held": (await self.scheduler.snapshot()).held})
        await socket.close()
