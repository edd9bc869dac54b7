"""What stands for an object of a framework."""

from __future__ import annotations

from typing import Any


class Scheduled:
    """What it has not itself is that of `_inner`, the object that it stands for."""

    _inner: Any

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":  # not made yet: copied, or unpickled
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __repr__(self) -> str:
        return f"<scheduled {self._inner!r}>"
