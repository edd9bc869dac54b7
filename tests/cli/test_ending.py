"""What ends a command that runs until it is told."""

from __future__ import annotations

import select
import signal

import pytest

from loco_redis.cli._ending import until_told


class Finalized:
    """A signal comes while this is dropped: what a handler raises there is lost."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_finalizer_is_heard(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with until_told() as told:
        assert not select.select([told], [], [], 0)[0]
        Finalized(number)
        assert select.select([told], [], [], 10)[0]
    assert signal.getsignal(number) is before
