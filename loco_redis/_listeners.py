"""Who wants to know of the leases of this process, such as tracing. Nobody, as a rule."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from loco_redis.lease import BaseLease

_log = logging.getLogger("loco_redis")


class LeaseListener(Protocol):
    """All methods are called at once, in the thread named, and must not block."""

    def granted(self, lease: BaseLease) -> None:
        """It is held. In the loop's thread, in the caller's context."""

    def entered(self, lease: BaseLease) -> None:
        """A with-block begins: in the context of its body. Not for handles."""

    def left(self, lease: BaseLease) -> None:
        """The with-block has ended: in the same context."""

    def settled(self, lease: BaseLease, cost: float, tokens: int | None) -> None:
        """Its holder has said what it cost. In the loop's thread."""

    def ended(self, lease: BaseLease, error: BaseException | None) -> None:
        """It is released, or was lost; `error` is the body's. In the loop's thread."""


#: Ask whether there are any before `tell` is called: it costs nothing then.
listeners: list[LeaseListener] = []


def tell(event: Literal["granted", "entered", "left", "settled", "ended"], *facts: object) -> None:
    """Call all listeners; what they raise is logged and breaks nothing."""
    for listener in [*listeners]:
        try:
            getattr(listener, event)(*facts)
        except Exception:  # noqa: BLE001  watching must not disturb who is watched
            _log.exception("a listener raised")
