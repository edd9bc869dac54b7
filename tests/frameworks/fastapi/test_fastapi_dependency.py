"""What is the dependency's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Form, Header, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.background import BackgroundTask

import loco_redis
from loco_redis import AsyncLOCOScheduler, Lease
from loco_redis.adapters.fastapi import SlotMiddleware, by_path, slot
from tests.frameworks.fastapi.site import Sites


def current_user(authorization: Annotated[str, Header()] = "nobody") -> str:
    return authorization


def agent_of_user(user: Annotated[str, Depends(current_user)]) -> str | None:
    return None if user == "nobody" else f"user/{user}"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (None, "default"),
        ("fixed", "fixed"),
        (by_path(), "who"),
        (agent_of_user, "user/ada"),
        (lambda: None, "default"),
    ],
)
async def test_agents(sites: Sites, agent: Any, expected: str) -> None:
    """The agent is an id, of the scope, or another dependency's; the handler gets the lease."""

    def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
        app = FastAPI()
        held = Depends(slot(scheduler, agent=agent))

        @app.get("/who")
        async def who(lease: Lease = held) -> str:
            await lease.settle(2.5)
            return lease.agent_id

        return app

    async with sites(make) as site:
        answer = await site.client.get("/who", headers={"authorization": "ada"})
        assert answer.json() == expected
        await site.at_rest()
        assert (await site.scheduler.snapshot()).granted == 2


async def test_no_parameters_in_the_schema(sites: Sites) -> None:
    """The dependency asks nothing of clients."""

    def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
        app = FastAPI()
        app.get("/who", dependencies=[Depends(slot(scheduler, agent=by_path()))])(lambda: 1)
        return app

    async with sites(make) as site:
        schema = (await site.client.get("/openapi.json")).json()
        assert "parameters" not in schema["paths"]["/who"]["get"]


async def test_twice_in_one_request(sites: Sites) -> None:
    """Of several dependencies, and of a middleware above, there is one slot."""

    def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
        app = FastAPI()
        app.add_middleware(SlotMiddleware, scheduler=scheduler)
        one_slot, another = Depends(slot(scheduler)), Depends(slot(scheduler))

        @app.get("/")
        async def tokens(one: Lease = one_slot, two: Lease = another) -> bool:
            return one.token == two.token

        return app

    async with sites(make) as site:
        assert (await site.client.get("/")).json() is True
        await site.at_rest()


async def test_scope_function(sites: Sites) -> None:
    """With FastAPI's `scope="function"` the slot is free while the answer is sent."""
    gate = asyncio.Event()

    def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
        app = FastAPI()

        @app.get("/", dependencies=[Depends(slot(scheduler), scope="function")])
        async def stream() -> StreamingResponse:
            async def pieces() -> Any:
                yield b"first\n"
                await gate.wait()

            return StreamingResponse(pieces())

        return app

    async with sites(make) as site:
        async with site.client.stream("GET", "/") as answer:
            await anext(answer.aiter_lines())
            await site.at_rest()
            gate.set()


def _generator(app: FastAPI, gate: asyncio.Event, depends: Any) -> None:
    @app.get("/", response_class=StreamingResponse, dependencies=[depends])
    async def stream() -> Any:
        yield "first\n"
        await gate.wait()


def _events(app: FastAPI, gate: asyncio.Event, depends: Any) -> None:
    sse = pytest.importorskip("fastapi.sse")

    @app.get("/", response_class=sse.EventSourceResponse, dependencies=[depends])
    async def stream() -> Any:
        yield {"first": 1}
        await gate.wait()


@pytest.mark.parametrize("add", [_generator, _events])
async def test_handlers_that_yield(sites: Sites, add: Callable[..., None]) -> None:
    """FastAPI's own streams hold their slots until they end, or their clients go."""
    pytest.importorskip("fastapi.sse", reason="the handlers of this FastAPI do not yield")
    gate = asyncio.Event()

    def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
        app = FastAPI()
        add(app, gate, Depends(slot(scheduler)))
        return app

    async with sites(make) as site:
        for goes in (True, False):
            async with site.client.stream("GET", "/") as answer:
                lines = answer.aiter_lines()
                assert "first" in await anext(lines)
                await site.held(1)
                if not goes:
                    gate.set()
                    assert [line async for line in lines if line] == []
            await site.at_rest()


async def test_own_background_task(sites: Sites) -> None:
    """A handler's own Response with a background task keeps the slot until that has ended."""
    gate = asyncio.Event()

    def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
        app = FastAPI()

        @app.get("/", dependencies=[Depends(slot(scheduler))])
        async def answer() -> PlainTextResponse:
            return PlainTextResponse("ok", background=BackgroundTask(gate.wait))

        return app

    async with sites(make) as site:
        assert (await site.client.get("/")).text == "ok"
        await site.held(1)
        gate.set()
        await site.at_rest()


async def test_forms_and_files(sites: Sites) -> None:
    """What FastAPI has parsed stays as it is; who goes while it waits leaves the queue."""

    def make(scheduler: AsyncLOCOScheduler) -> FastAPI:
        app = FastAPI()

        @app.post("/", dependencies=[Depends(slot(scheduler))])
        async def form(word: Annotated[str, Form()], file: UploadFile) -> list[str]:
            return [word, (await file.read()).decode()]

        return app

    pytest.importorskip("python_multipart")
    async with sites(make) as site:
        sent = {"data": {"word": "hello"}, "files": {"file": b"content"}}
        async with site.scheduler.acquire("other"):
            call = asyncio.create_task(site.client.post("/", **sent))
            await site.waiting(1)
            gone = asyncio.create_task(site.client.post("/", **sent))
            await site.waiting(2)
            gone.cancel()
            await site.waiting(1)
        assert (await call).json() == ["hello", "content"]
        await site.at_rest()


async def test_configured_scheduler(sites: Sites, redis_url: str) -> None:
    """Without a scheduler it is that of the one-line API."""
    loco_redis.configure(capacity=1, redis=redis_url, resource_name="llm")

    def make(_: AsyncLOCOScheduler) -> FastAPI:
        app = FastAPI()

        @app.get("/")
        async def who(lease: Annotated[Lease, Depends(slot(agent="a"))]) -> str:
            return lease.agent_id

        return app

    try:
        async with sites(make) as site:
            assert (await site.client.get("/")).json() == "a"
            await site.at_rest()
    finally:
        await loco_redis.reset()


def test_arguments() -> None:
    """What cannot be is refused at once."""
    for bad in ({"weight": 0}, {"timeout": "1"}, {"retry_after": -1}, {"scheduler": object()}):
        with pytest.raises(ValueError):
            slot(**bad)
    with pytest.raises(ValueError):
        slot(agent="")
