"""The books of a session: sequences, the floor, grants that come twice."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from loco_redis._ledger import Ledger, Request
from loco_redis._replies import Grant


@given(st.lists(st.integers(0, 30)))
def test_floor_is_the_lowest_sequence_without_reply(choices: list[int]) -> None:
    """Whatever the order of the replies; without any, it is the next sequence."""
    ledger, open_ones = Ledger(), list[int]()
    for choice in choices:
        if choice < 15 or not open_ones:
            open_ones.append(ledger.mint())
        else:
            ledger.answered(open_ones.pop(choice % len(open_ones)))
        assert ledger.floor == min(open_ones, default=ledger.floor)
    for sequence in open_ones:
        ledger.answered(sequence)
    assert ledger.floor == ledger.mint()


def test_session_ids_fit_the_key_space() -> None:
    """16 characters of a-z and 0-9, another one each time."""
    ids = {Ledger().session for _ in range(100)}
    assert len(ids) == 100
    assert all(
        (len(i) == 16 and i.isascii() and i.isalnum() and i.islower()) or i.isdigit() for i in ids
    )


async def test_first_of_several_grants_wins() -> None:
    """A grant resolves its request once; copies, and grants nobody wants, are ignored. The highest
    token is kept in any case."""
    ledger = Ledger()
    request = Request(asyncio.get_running_loop().create_future(), "a", b"a", None, None)
    sequence = ledger.mint()
    ledger.requests[sequence] = request
    assert ledger.take(_grant(sequence, token=7))
    assert not ledger.take(_grant(sequence, token=7))
    assert not ledger.take(_grant(99, token=9))
    assert (await request.future).token == 7
    assert ledger.seen == 9
    assert not ledger.idle


async def test_expired_books_give_back_who_waits() -> None:
    """Requests that wait are handed on; nothing is held any more."""
    ledger = Ledger()
    request = Request(asyncio.get_running_loop().create_future(), "a", b"a", None, None)
    ledger.requests[ledger.mint()] = request
    assert ledger.expire("gone") == [request]
    assert ledger.expired
    assert ledger.idle


def _grant(sequence: int, token: int) -> Grant:
    return Grant(sequence, 0, token, 1.0, 1, 0, 0.5, False, "", None)
