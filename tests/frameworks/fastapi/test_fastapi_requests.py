"""What holds for requests under the middleware as under the dependency."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import httpx
import pytest

from loco_redis import BudgetPolicy
from tests.frameworks.fastapi.shop import Shop
from tests.frameworks.fastapi.site import Sites
from tests.waiting import eventually

ANALYST = {"x-loco-agent": "analyst"}


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture(params=["middleware", "dependency"])
def way(request: pytest.FixtureRequest, shop: Shop) -> Any:
    return getattr(shop, f"by_{request.param}")


async def test_ok(sites: Sites, shop: Shop, way: Any) -> None:
    """A request has one slot, which what the handler calls shares; its agent is the header's."""
    async with sites(way()) as site:
        for _ in range(2):
            answer = await site.client.get("/who", headers={"x-loco-agent": "J%C3%BCrgen"})
            assert answer.json() == {"caller": "Jürgen", "lease": "Jürgen", "held": 1}
        assert (await site.client.get("/who")).json()["caller"] == "default"
        answer = await site.client.get("/who-sync", headers=ANALYST)
        assert answer.json() == {"caller": "analyst"}
        await site.at_rest()


async def test_full_stream(sites: Sites, shop: Shop, way: Any) -> None:
    """A streamed answer has its slot until its last byte."""
    async with sites(way()) as site:
        async with site.client.stream("GET", "/stream", headers=ANALYST) as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "first"
            await site.held(1)
            shop.gate.set()
            assert [line async for line in lines] == ["last"]
        await site.at_rest()


@pytest.mark.parametrize(
    ("path", "status", "failed"),
    [("/boom", 500, True), ("/missing", 404, False), ("/broken", 503, None)],
)
async def test_error(
    sites: Sites, shop: Shop, way: Any, path: str, status: int, failed: bool | None
) -> None:
    """An error of the handler comes as without a scheduler, and frees the slot; one of the server
    has failed. (A dependency does not see the status of an answer that is returned.)"""
    errors: list[BaseException | None] = []
    app = way()
    async with sites(app, on_task_completed=lambda _, error: errors.append(error)) as site:
        assert (await site.client.get(path)).status_code == status
        await eventually(lambda: errors)
        expected = failed if failed is not None else app.__qualname__.startswith("Shop.by_middle")
        assert (errors[0] is not None) is expected
        await site.at_rest()


async def test_client_gone_while_waiting(sites: Sites, shop: Shop, way: Any) -> None:
    """Who goes while it waits leaves the queue; its handler never runs."""
    async with sites(way()) as site:
        async with site.scheduler.acquire("other"):
            connection = await site.connect()
            await connection.get("/gated")
            await site.waiting(1)
            await connection.close()
            await site.waiting(0)
        assert shop.ended == []
        await site.at_rest()


async def test_client_gone_while_waiting_with_a_body(sites: Sites, shop: Shop, way: Any) -> None:
    """The same after it has sent a body."""
    async with sites(way()) as site:
        async with site.scheduler.acquire("other"):
            connection = await site.connect()
            head = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
            await connection.send(head + b"y" * 100_000)
            await site.waiting(1)
            await connection.close()
            await site.waiting(0)
        await site.at_rest()


async def test_client_gone_in_flight(sites: Sites, shop: Shop, way: Any) -> None:
    """A handler goes on when its client has gone, and so does its slot, until it ends."""
    async with sites(way()) as site:
        connection = await site.connect()
        await connection.get("/gated")
        await eventually(lambda: shop.running)
        await connection.close()
        await site.held(1)
        shop.gate.set()
        await site.at_rest()
        assert shop.ended == ["gated"]


async def test_client_gone_while_streaming(sites: Sites, shop: Shop, way: Any) -> None:
    """A stream ends when its client goes, also one that waits for its next piece."""
    async with sites(way()) as site:
        connection = await site.connect()
        await connection.get("/stream")
        await connection.reader.readuntil(b"first\n")
        await connection.close()
        await site.at_rest()
        assert shop.ended == ["stream"]


async def test_slow_reader(sites: Sites, shop: Shop, way: Any) -> None:
    """A reader that stops reading holds its slot; the slot is free when it goes."""
    async with sites(way()) as site:
        connection = await site.connect(limit=1024)
        await connection.get("/endless")
        await connection.head()
        await site.held(1)
        waiter = await site.connect()
        await waiter.get("/plain")
        await site.waiting(1)
        await connection.close()
        assert b"200 OK" in await waiter.head()
        await waiter.close()
        await site.at_rest()

        def ended() -> bool:
            gc.collect()  # who cancels a response leaves its iterator to the collector
            return shop.ended == ["endless"]

        await eventually(ended)


async def test_many_of_one_agent(sites: Sites, shop: Shop, way: Any) -> None:
    """Thirty requests of one agent: never more at once than there are slots."""
    async with sites(way(), capacity=3) as site:
        calls = [asyncio.create_task(site.client.get("/gated", headers=ANALYST)) for _ in range(30)]
        await site.waiting(27)
        await eventually(lambda: shop.running == 3)
        shop.gate.set()
        assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
        assert shop.most == 3
        await site.at_rest()


async def test_sync_handlers(sites: Sites, shop: Shop, way: Any) -> None:
    """Handlers that are plain functions hold their slots until their threads end."""
    async with sites(way(), capacity=2) as site:
        calls = [asyncio.create_task(site.client.get("/sync")) for _ in range(6)]
        await site.waiting(4)
        await eventually(lambda: shop.running == 2)
        shop.go.set()
        assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
        assert shop.most == 2
        await site.at_rest()


async def test_sync_stream(sites: Sites, shop: Shop, way: Any) -> None:
    """A client goes while a thread makes the next piece: the slot is held until that ends."""
    async with sites(way()) as site:
        connection = await site.connect()
        await connection.get("/stream-sync")
        await connection.reader.readuntil(b"first\n")
        await connection.close()
        await site.held(1)
        shop.go.set()
        await site.at_rest()


async def test_no_slot_in_time(sites: Sites, shop: Shop, way: Any) -> None:
    """429 and Retry-After, and a body that says the same."""
    async with sites(way(timeout=0.3, retry_after=2.5)) as site:
        async with site.scheduler.acquire("other"):
            answer = await site.client.get("/plain")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
        told = {"error": "no_slot", "detail": "no slot became free in time", "retry_after": 3}
        assert _told(answer) == told
        await site.at_rest()


async def test_queue_full(sites: Sites, shop: Shop, way: Any) -> None:
    """Who comes when max_waiters wait is told so at once."""
    async with sites(way(), max_waiters=1) as site:
        async with site.scheduler.acquire("other"):
            waiter = asyncio.create_task(site.client.get("/plain"))
            await site.waiting(1)
            answer = await site.client.get("/plain")
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert _told(answer)["error"] == "queue_full"
        assert (await waiter).status_code == 200
        await site.at_rest()


async def test_budget(sites: Sites, shop: Shop, way: Any) -> None:
    """Who has spent its budget is refused."""
    budget = BudgetPolicy(default_limit=1)
    async with sites(way(), budget=budget) as site:
        assert (await site.client.get("/plain")).status_code == 200
        answer = await site.client.get("/plain")
        assert (answer.status_code, _told(answer)["error"]) == (429, "budget")
        await site.at_rest()


async def test_shutting_down(sites: Sites, shop: Shop, way: Any) -> None:
    """Who waits when the scheduler shuts down is told 503; so is who comes later."""
    async with sites(way()) as site:
        async with site.scheduler.acquire("other"):
            waiter = asyncio.create_task(site.client.get("/plain"))
            await site.waiting(1)
            await site.scheduler.shutdown(0)
            for answer in (await waiter, await site.client.get("/plain")):
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                assert _told(answer)["error"] == "shutting_down"


async def test_no_redis(sites: Sites, shop: Shop, way: Any) -> None:
    """503, and not a word about where Redis should be."""
    nowhere = {"redis": "redis://127.0.0.1:1", "backend_timeout": 0.1}
    async with sites(way(), opened=False, **nowhere) as site:
        answer = await site.client.get("/plain")
        assert (answer.status_code, _told(answer)["error"]) == (503, "unavailable")
        assert "127.0.0.1" not in answer.text


async def test_slot_lost(sites: Sites, shop: Shop, way: Any) -> None:
    """A handler whose slot an operator takes away is cancelled, and its client told 503."""
    async with sites(way()) as site:
        call = asyncio.create_task(site.client.get("/gated"))
        await eventually(lambda: shop.running)
        (holder,) = (await site.scheduler.snapshot()).holders
        await site.scheduler.operations.release(holder.token)
        answer = await call
        assert (answer.status_code, _told(answer)["error"]) == (503, "slot_lost")
        await site.at_rest()


async def test_bad_agent(sites: Sites, shop: Shop, way: Any) -> None:
    """A header that cannot be an agent is the client's mistake."""
    async with sites(way()) as site:
        answer = await site.client.get("/plain", headers={"x-loco-agent": "a" * 600})
        assert (answer.status_code, _told(answer)["error"]) == (400, "agent")
        await site.at_rest()


async def test_background_tasks_have_no_slot(sites: Sites, shop: Shop, way: Any) -> None:
    """What runs after the answer runs without the slot."""
    async with sites(way()) as site:
        assert (await site.client.get("/background")).status_code == 200
        await eventually(lambda: shop.running)
        await site.at_rest()
        shop.gate.set()
        await eventually(lambda: shop.ended)


async def test_bodies(sites: Sites, shop: Shop, way: Any) -> None:
    """A body comes to the handler as it was sent, though others look at it while it waits."""
    body = bytes(range(256)) * 8192
    async with sites(way()) as site:
        async with site.scheduler.acquire("other"):
            call = asyncio.create_task(site.client.post("/echo", content=body))
            await site.waiting(1)
        assert (await call).json() == {"bytes": len(body), "sum": sum(body)}
        await site.at_rest()


async def test_websockets_pass(sites: Sites, shop: Shop, way: Any) -> None:
    """A WebSocket takes no slot by itself."""
    async with sites(way()) as site:
        app = way()(site.scheduler)
        scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}
        sent: list[Any] = []
        come = [{"type": "websocket.connect"}]

        async def receive() -> Any:
            return come.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        assert '"held":0' in sent[1]["text"]


def _told(answer: httpx.Response) -> Any:
    body = answer.json()
    return body.get("detail") if isinstance(body.get("detail"), dict) else body
