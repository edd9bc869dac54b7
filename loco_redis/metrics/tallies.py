"""The fleet's figures in the hash `tallies`: read by dimension, added to by entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from loco_redis import _hashes as hashes
from loco_redis import _validate as validate

if TYPE_CHECKING:
    from loco_redis._session import Session

Use = Callable[[], Awaitable["Session"]]
OTHER = "__other__"
MILLION = 1_000_000


def entry(dimension: str, value: bytes, amount: int) -> bytes:
    """One of the `entries` of `tally`."""
    return b"%b|%d|%d|%b" % (dimension.encode(), amount, len(value), value)


class Tallies:
    """Figures by dimension and value, as whole numbers."""

    def __init__(self, use: Use) -> None:
        self._use = use

    async def read(self, dimensions: str, first: str | None = None) -> dict[str, dict[str, int]]:
        """Dimension -> value -> figure, for the dimensions that match the glob pattern, each of
        which is there; of a dimension of pairs only those that begin with `first`, by the other."""
        session = await self._use()
        begin = b"" if first is None else _encoded(first) + b"\0"
        pattern = dimensions.encode() + b"\0" + hashes.escaped(begin) + b"*"
        return by_dimension(
            await hashes.scan(session, session.scripts.keys.tallies, pattern), len(begin)
        )

    async def costs(self, dimension: str, first: str | None = None) -> dict[str, float]:
        """What was counted in thousandths, in units of cost."""
        return in_units((await self.read(dimension, first))[dimension])

    async def one(self, dimension: str, value: str) -> float | None:
        """A single figure, None where there is none."""
        session = await self._use()
        field = dimension.encode() + b"\0" + _encoded(value)
        figure = await hashes.get(session, session.scripts.keys.tallies, field)
        return None if figure is None else float(figure)

    async def add(self, *entries: bytes) -> None:
        """All of them at once."""
        session = await self._use()
        await session.once(session.scripts.tally, entries=b"".join(entries))


def by_dimension(rows: Mapping[bytes, bytes], skip: int = 0) -> dict[str, dict[str, int]]:
    """Dimension -> value, without its first `skip` bytes, -> figure. Values that are pairs then are
    left out; a dimension that is not there is empty."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for field, figure in rows.items():
        dimension, separator, value = field.partition(b"\0")
        value = value[skip:]
        if separator and b"\0" not in value:
            found[dimension.decode()][value.decode(errors="replace")] = int(figure)
    return found


def in_units(thousandths: dict[str, int]) -> dict[str, float]:
    return {name: figure / validate.THOUSAND for name, figure in thousandths.items()}


def _encoded(value: str) -> bytes:
    """Whatever was asked for: what cannot be there is not found."""
    if not isinstance(value, str):
        raise ValueError(f"a name of a figure must be a str, got {validate.shown(value)}")
    return value.encode(errors="replace")
