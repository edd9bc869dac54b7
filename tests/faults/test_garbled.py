"""Replies that are garbled, or end in the middle of a bulk string without a reset."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from loco_redis import BackendError, _outbox
from loco_redis._scripts import Scripts
from tests.faults.conftest import Seen
from tests.faults.passages import Passages, name_of
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually

Garble = Callable[[bytes], bytes]


def last_bulk(reply: bytes, change: Callable[[int], int]) -> bytes:
    """The last bulk string of a reply gets another length."""
    found = [*re.finditer(rb"\$(\d+)\r\n", reply)]
    if not found:
        return b"?" + reply
    last = found[-1]
    return reply[: last.start(1)] + b"%d" % change(int(last[1])) + reply[last.end(1) :]


def array(reply: bytes, change: Callable[[int], int]) -> bytes:
    """Its first array gets another length."""
    return re.sub(rb"\*(\d+)", lambda found: b"*%d" % change(int(found[1])), reply, count=1)


# Those of the first kind make the parser wait for bytes that never come.
ENDLESS: dict[str, Garble] = {
    "bulk much too long": lambda reply: last_bulk(reply, lambda n: n + 100),
    "array too long": lambda reply: array(reply, lambda n: n + 1),
    "cut off": lambda reply: reply[: len(reply) // 2],
}
WRONG_LENGTHS: dict[str, Garble] = {
    "bulk too long": lambda reply: last_bulk(reply, lambda n: n + 1),
    "bulk too short": lambda reply: last_bulk(reply, lambda n: n - 1),
}
GARBLES: dict[str, Garble] = {
    **WRONG_LENGTHS,
    "array too short": lambda reply: array(reply, lambda n: n // 2),
    "array much too short": lambda reply: array(reply, lambda n: 1),
    "a bulk called a number": lambda reply: reply.replace(b"$", b":", 1),
    "a number called a text": lambda reply: re.sub(rb"(^|\n):", rb"\1+", reply, count=1),
    "unknown type": lambda reply: b"?" + reply[1:],
    "a map": lambda reply: b"%1\r\n:1\r\n:2\r\n",
    "a map of arrays": lambda reply: b"%1\r\n*1\r\n:1\r\n:2\r\n",
    "an empty push": lambda reply: b">0\r\n" + reply,
    "a text": lambda reply: b"+OK\r\n" if b"*" in reply[:1] else b"*0\r\n",
    "empty": lambda reply: b"*0\r\n",
    "a number": lambda reply: b":7\r\n",
    "too large a number": lambda reply: b":99999999999999999999999\r\n",
    "noise": lambda reply: bytes(range(256)),
}


@pytest.mark.parametrize(
    "script",
    [
        *("acquire", "durable", "release", "handed_on", "several", "submit", "HGET", "settle"),
        *("cancel", "poll", "open", "heartbeat"),
    ],
)
async def test_truncated_bulk_or_garbled_reply(
    schedulers: Schedulers, seen: Seen, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is made anew and the question asked again; nothing of it is believed."""
    monkeypatch.setattr(_outbox, "REPLY_TIMEOUT", 0.2)
    async with proxied(schedulers.server, tcp=True) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=1.0) as scheduler:
            passages = Passages(schedulers, scheduler)
            outbox = scheduler._session.outbox  # type: ignore[union-attr]
            work = outbox._task
            endless = ENDLESS if script in ("acquire", "poll", "open") else {}
            for name, garble in (GARBLES | endless).items():
                # A payload that comes a byte short is as good a payload as any.
                if script == "HGET" and name in WRONG_LENGTHS:
                    continue
                proxy.spoil_reply_of(name_of(script), garble)
                await passages.of(script)
            assert outbox._task is work  # whatever the parser raised
            session = scheduler.session_id
            assert [row.session for row in (await scheduler.snapshot()).sessions] == [session]
    seen(
        f"{len(proxy.spoiled)} ways to garble a reply to {script}",
        f"{len(proxy.spoiled)} outcomes found out; longest passage {passages.longest:.2f} s",
    )


async def test_truncated_bulk_while_opening(
    schedulers: Schedulers, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens all the same."""
    monkeypatch.setattr(_outbox, "REPLY_TIMEOUT", 0.2)
    async with proxied(schedulers.server) as proxy:
        for text in ("\nINFO", "EXISTS", "SUBSCRIBE", name_of("open")):
            for garble in [*GARBLES.values()][::2]:
                proxy.spoil_reply_of(text, garble)
                async with schedulers(redis=proxy.url, lease_ttl=30.0) as scheduler:
                    async with scheduler.acquire("a", timeout=5.0):
                        pass
    seen(f"{len(proxy.spoiled)} garbled replies while a scheduler was opened", "all opened")


async def test_truncated_bulk_in_a_hint(schedulers: Schedulers, seen: Seen) -> None:
    """The subscription is made anew, or the grant is found by the heartbeat; then there was no hint
    to garble, and the slot is handed on once more."""
    longest, garbles = 0.0, [*GARBLES.values(), *ENDLESS.values()]
    async with proxied(schedulers.server) as proxy:
        async with schedulers(lease_ttl=1.2) as holder:
            async with schedulers(redis=proxy.url, lease_ttl=None) as waiting:
                while len(proxy.spoiled) < len(garbles):
                    handle = await holder.acquire_start("h")
                    waiter = asyncio.create_task(waiting.acquire_start("w"))
                    await eventually(lambda: schedulers.waiting() == 1)
                    if not proxy.spoils_hint:
                        proxy.spoil_hint(garbles[len(proxy.spoiled)])
                    began = asyncio.get_running_loop().time()
                    await holder.release_handle(handle)
                    await waiting.release_handle(await waiter)
                    longest = max(longest, asyncio.get_running_loop().time() - began)
    assert longest < 1.2 / 4 + 1.0
    seen(f"{len(proxy.spoiled)} ways to garble a hint", f"longest wait {longest:.2f} s")


@pytest.mark.parametrize("garble", [b"*0\r\n", b"-ERR not what the server said\r\n"])
async def test_truncated_bulk_again_and_again(
    schedulers: Schedulers, seen: Seen, garble: bytes
) -> None:
    """What cannot be found out is a typed error, and a grant that it may have brought is given
    back at once."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=30.0) as scheduler:
            for _ in range(10):
                for _ in range(2):
                    proxy.spoil_reply_of(name_of("acquire"), lambda reply: garble)
                with pytest.raises(BackendError):
                    await scheduler.acquire_start("a")
                proxy.spoil_nothing()
                await eventually(lambda: schedulers.held() == schedulers.waiting() == 0)
                await scheduler.snapshot()  # by now there is no other reply on its way
    seen(
        f"{len(proxy.spoiled)} garbled replies to 10 acquires, the repeats garbled, too",
        "10 BackendError, nothing held afterwards",
    )


def test_truncated_bulk_among_the_numbers_of_a_heartbeat() -> None:
    """A reply of which one field is no number renews nothing."""
    decode = Scripts("llm").heartbeat(session="a", floor=1, seen=0).decode
    reply = [0, 1, 2_000_000, 1, 0, 5, 0, 0]
    assert decode(reply).lease == 2.0
    for at in range(1, len(reply)):
        with pytest.raises(TypeError):
            decode([*reply[:at], b"0", *reply[at + 1 :]])
