"""What was tried for one request, told by the error that ends it."""

from __future__ import annotations

from typing import NoReturn

from loco_redis._visible import shown
from loco_redis.adapters._calls.failures import failure_of
from loco_redis.orchestration.routing.route import Route

_LONGEST = 200  # characters of an error


class Trail:
    """The attempts of a request, all of which failed so far.

    Attributes:
        waited: seconds for slots.
    """

    def __init__(self, router: str, request_id: str) -> None:
        self._router, self._request_id = router, request_id
        self._steps: list[str] = []
        self._last: Exception | None = None
        self.waited = 0.0

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, route: Route, error: Exception) -> None:
        failure, self._last = failure_of(error), error
        self.waited += route.lease.waited
        status = failure.status if failure is not None else None
        what = f"HTTP {status}" if status else f"{type(error).__name__} {error}".strip()
        self._steps.append(f"{route.backend.name} ({shown(what)[:_LONGEST]})")

    def end(self, left: int) -> NoReturn:
        """Raise the last error. `left` backends could not be used."""
        assert self._last is not None
        rest = f"; {left} more could not be used" if left else ""
        self._last.add_note(
            f"router {self._router!r}, request {shown(self._request_id)}: "
            f"tried {', then '.join(self._steps)}{rest}"
        )
        raise self._last
