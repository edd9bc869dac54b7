"""The middleware over any ASGI app."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import pytest
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware

from loco_redis import (
    AsyncLOCOScheduler,
    BackendMemoryError,
    BudgetExceededError,
    ConfigMismatchError,
    EvictedError,
    LocoRedisError,
    PolicyViolationError,
    ResourceFullError,
    SessionExpiredError,
)
from loco_redis.adapters._served import Refusal
from loco_redis.adapters.asgi import LEASE, SlotMiddleware, by_header, by_path, by_user
from tests.frameworks.fastapi.shop import Shop
from tests.frameworks.fastapi.site import Site, Sites
from tests.waiting import eventually

OK = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture
async def shop() -> Shop:
    return Shop()


def over(app: Any, **options: Any) -> Callable[[AsyncLOCOScheduler], SlotMiddleware]:
    return lambda scheduler: SlotMiddleware(app, scheduler, **options)


async def names_agent(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    lease = scope.get(LEASE)
    told = lease.agent_id if lease is not None else "no slot"
    await send(OK)
    await send({"type": "http.response.body", "body": told.encode()})


@pytest.mark.parametrize(
    ("agent_of", "expected"),
    [
        (by_header(), ["analyst", "default"]),
        (by_header("X-Team"), ["default", "red"]),
        (by_path(), ["chat", "chat"]),
        (by_path(2), ["chat/a", "chat/b"]),
        (lambda scope: scope["query_string"].decode() or None, ["default", "q=1"]),
    ],
)
async def test_agents(sites: Sites, agent_of: Any, expected: list[str]) -> None:
    """The agent is what the function says of the scope, else "default"."""
    async with sites(over(names_agent, agent_of=agent_of)) as site:
        first = await site.client.get("/chat/a/1", headers={"x-loco-agent": "analyst"})
        second = await site.client.get("/chat/b/2?q=1", headers={"x-team": "red"})
        assert [first.text, second.text] == expected


class Names(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        name = conn.headers.get("authorization")
        return (AuthCredentials([]), SimpleUser(name)) if name else None


async def test_agent_by_user(sites: Sites) -> None:
    """The agent is the user that Starlette's middleware has found."""

    def make(scheduler: AsyncLOCOScheduler) -> Any:
        inner = SlotMiddleware(names_agent, scheduler, agent_of=by_user())
        return AuthenticationMiddleware(inner, backend=Names())

    async with sites(make) as site:
        assert (await site.client.get("/", headers={"authorization": "ada"})).text == "ada"
        assert (await site.client.get("/")).text == "default"


async def test_match(sites: Sites) -> None:
    """Requests that do not match pass without a slot, also while all are held."""
    async with sites(over(names_agent, match=lambda scope: scope["path"] != "/health")) as site:
        async with site.scheduler.acquire("other"):
            assert (await site.client.get("/health")).text == "no slot"
        assert (await site.client.get("/other")).text == "default"


async def streams_for_ever(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    await send(OK)
    while True:
        await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})


@pytest.mark.parametrize("with_anyio", [True, False])
async def test_app_that_does_not_listen(
    sites: Sites, with_anyio: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that streams on though nobody is there is ended, at its next piece at the latest."""
    if not with_anyio:
        monkeypatch.setitem(sys.modules, "anyio", None)
    async with sites(over(streams_for_ever)) as site:
        connection = await site.connect()
        await connection.get("/")
        await connection.head()
        await connection.close()
        await site.at_rest()


@pytest.mark.parametrize("path", ["/stream", "/stream-sync"])
async def test_server_of_a_newer_specification(sites: Sites, shop: Shop, path: str) -> None:
    """From ASGI 2.4 on, Starlette does not listen while it streams: it is cancelled, and a thread
    of it holds the slot until it ends."""

    def make(scheduler: AsyncLOCOScheduler) -> Any:
        app = shop.by_middleware()(scheduler)

        async def newer(scope: Any, receive: Any, send: Any) -> None:
            scope["asgi"] = {**scope["asgi"], "spec_version": "2.4"}
            await app(scope, receive, send)

        return newer

    async with sites(make) as site:
        connection = await site.connect()
        await connection.get(path)
        await connection.reader.readuntil(b"first\n")
        await connection.close()
        if path == "/stream-sync":
            with pytest.raises(TimeoutError):
                async with site.scheduler.acquire("next", timeout=0.3):
                    pass
            shop.go.set()
        await site.at_rest()


async def test_two_layers(sites: Sites) -> None:
    """One over the other takes one slot."""

    def make(scheduler: AsyncLOCOScheduler) -> SlotMiddleware:
        return SlotMiddleware(SlotMiddleware(names_agent, scheduler), scheduler)

    async with sites(make) as site:
        assert (await site.client.get("/")).text == "default"
        await site.at_rest()


@pytest.mark.parametrize("path", ["/gated", "/stream", "/plain"])
async def test_cancel_on_disconnect(sites: Sites, shop: Shop, path: str) -> None:
    """If so asked, the handler is cancelled when its client goes."""
    async with sites(shop.by_middleware(cancel_on_disconnect=True)) as site:
        assert (await site.client.get("/plain")).status_code == 200
        connection = await site.connect()
        await connection.get(path)
        await (eventually(lambda: shop.running) if path == "/gated" else connection.head())
        await connection.close()
        await site.at_rest()
        assert shop.ended == ([] if path == "/plain" else [path[1:]])


async def test_cancel_waits_for_threads(sites: Sites, shop: Shop) -> None:
    """A plain handler cannot be cancelled: its slot is held until its thread has ended."""
    async with sites(shop.by_middleware(cancel_on_disconnect=True)) as site:
        connection = await site.connect()
        await connection.get("/sync")
        await eventually(lambda: shop.running)
        await connection.close()
        with pytest.raises(TimeoutError):
            async with site.scheduler.acquire("next", timeout=0.3):
                pass
        shop.go.set()
        await site.at_rest()
        assert shop.ended == ["sync"]


async def test_large_body(sites: Sites, shop: Shop) -> None:
    """A client that goes in the midst of a large body leaves nothing, once its turn has come."""
    async with sites(shop.by_middleware()) as site:
        async with site.scheduler.acquire("other"):
            connection = await site.connect()
            head = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n"
            await connection.send(head + b"y" * 300_000)
            await site.waiting(1)
            await connection.close()
        await site.at_rest()


async def test_request_cancelled(sites: Sites, shop: Shop) -> None:
    """A server that cancels requests, waiting or running, leaves nothing."""
    async with sites(over(names_agent)) as site:
        for app, held in ((names_agent, True), (_for_ever, False)):
            middleware = SlotMiddleware(app, site.scheduler)
            async with _other(site, held):
                call = asyncio.create_task(_call(middleware), context=Context())
                await (site.waiting(1) if held else site.held(1))
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
        await site.at_rest()


def _other(site: Site, held: bool) -> Any:
    return site.scheduler.acquire("other") if held else asyncio.timeout(None)


async def _for_ever(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


async def _call(app: Callable[..., Awaitable[None]]) -> None:
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    async def send(message: Any) -> None:
        pass

    await app({"type": "http", "path": "/", "headers": []}, receive, send)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (PolicyViolationError("rate", "a", "too fast", retry_after=2.1), 429, 3),
        (PolicyViolationError("access", "a", "not for it"), 403, None),
        (BudgetExceededError("a", 1, 1, 1), 429, 1),
        (ResourceFullError("agents", 10), 429, 1),
        (EvictedError("r", "a"), 503, 1),
        (BackendMemoryError("redis://secret"), 503, 1),
        (SessionExpiredError("llm", "s"), 503, 1),
        (ConfigMismatchError("capacity", 1, 2), None, None),
    ],
)
def test_refusals(error: LocoRedisError, status: int | None, retry_after: int | None) -> None:
    """What a refused caller is told; a mistake of the program is no refusal."""
    refusal = Refusal.of(error, 0.5)
    if refusal is None:
        assert status is None
        return
    assert (refusal.status, refusal.retry_after) == (status, retry_after)
    assert refusal.headers == ({"retry-after": str(retry_after)} if retry_after else {})
    assert "secret" not in str(refusal.body)


def test_arguments() -> None:
    """What cannot be is refused at once."""
    for bad in ({"weight": 0}, {"timeout": "1"}, {"retry_after": -1}, {"scheduler": object()}):
        with pytest.raises(ValueError):
            SlotMiddleware(names_agent, **bad)
