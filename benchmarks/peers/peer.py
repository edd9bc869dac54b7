"""What a table says of a peer beside its figure, and where its code is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Peer:
    """A way of doing the work, used as its own documents recommend.

    Attributes:
        name: in the tables.
        place: "module:function" of its way or tool.
        distribution: the package whose version is shown.
        lacks: what it does not do, in a few words.
        home: the environment beside the main one that it needs, because its requirements
            contradict those of the others; "" is the main one.
        options: passed on to its way.
    """

    name: str
    place: str
    distribution: str
    lacks: str
    home: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def environment(self) -> Path:
        return Path(sys.prefix, self.home)

    @property
    def python(self) -> str:
        """The interpreter that its processes run in."""
        return str(self.environment / "bin" / "python") if self.home else sys.executable

    @property
    def version(self) -> str | None:
        """What is installed, or None."""
        places = {"path": [str(p) for p in self.environment.glob("lib/python3*/site-packages")]}
        found = metadata.distributions(name=self.distribution, **(places if self.home else {}))
        return next((one.version for one in found), None)

    @property
    def installed(self) -> bool:
        return self.version is not None

    @property
    def note(self) -> str:
        """Such as "arq 0.28.0: workers poll"."""
        return f"{self.distribution} {self.version}: {self.lacks}"


def present(peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
    """Those that can run here."""
    return tuple(peer for peer in peers if peer.installed)
