"""What a refusal leaves in Redis: a figure of how many there were, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from loco_redis.testing.dump import Dump, differences
from tests.schedulers import Schedulers

_CLOCKS = (b"serial", b"raw", b"vnow", b"due")


@contextmanager
def no_trace(schedulers: Schedulers) -> Iterator[None]:
    """Afterwards every counter, bucket and queue is as it was; only clocks and calls went on, and
    the number of refusals."""
    before = _still(schedulers.dump())
    yield
    assert differences(before, _still(schedulers.dump())) == []


def _still(dump: Dump) -> Dump:
    counters = {name: value for name, value in dump.vars.items() if name not in _CLOCKS}
    tallies = {
        field: value
        for field, value in dump.tallies.items()
        if not field.startswith((b"f\0", b"#f"))
    }
    return replace(dump, vars=counters, sessions={}, deadlines={}, tombstones={}, tallies=tallies)
