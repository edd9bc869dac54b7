"""Whatever reads bytes from outside survives all of them (`targets.py` says what that means)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.security.fuzz import NAMES
from tests.security.targets import TARGETS
from tests.security.texts import HOSTILE, texts

_SEEDS = (
    b"wake|1",
    b"9" * 400,
    b"wake|" + b"9" * 400,
    b"1|0|17|" + b"9" * 400 + b"|1|0|0.5|0||",
    b"redis://user:x@[::1]:6379/0?db=1",
    b"][",
    b"2023-11-16 18:17:03.979960,100,1",
    b"1{}\n",
    b"1[]\n",
    b'1{"weight":1e999}\n',
    b"[" * 5000,
)


@pytest.mark.parametrize("name", TARGETS)
@settings(deadline=None, max_examples=150)
@given(data=st.one_of(st.binary(max_size=300), texts.map(lambda t: t.encode(errors="replace"))))
def test_any_bytes_are_survived(name: str, data: bytes) -> None:
    """A value, or an exception that the caller catches."""
    TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_known_troublemakers_are_survived(name: str) -> None:
    """What once went wrong, and what usually does."""
    for data in (*_SEEDS, *(text.encode(errors="replace") for text in HOSTILE)):
        TARGETS[name](data)


def test_fuzzing_by_hand_knows_every_target() -> None:
    """`python -m tests.security.fuzz` leaves none out."""
    assert (*TARGETS,) == NAMES
