"""Route: what a request was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from loco_redis import _validate as validate
from loco_redis.lease import Lease
from loco_redis.orchestration.routing.settings import Backend, check_tokens

if TYPE_CHECKING:
    import httpx

    from loco_redis.orchestration.routing._clients import Clients


class Route:
    """A backend, and a slot of it.

    Attributes:
        backend: where the request goes.
        lease: the slot; `lease.token` fences it.
        request_id: the same for all attempts of a request; fit for an idempotency key.
        attempt: of this request, from 1.
        probe: the backend was broken, and this request finds out whether it works again.
        low_budget: the router's budget runs low: whatever is cheaper is welcome.
    """

    __slots__ = (
        "_clients",
        "_round",
        "attempt",
        "backend",
        "cost",
        "lease",
        "low_budget",
        "probe",
        "request_id",
    )

    def __init__(
        self,
        backend: Backend,
        lease: Lease,
        request_id: str,
        attempt: int,
        probe: bool,
        low_budget: bool,
        clients: Clients,
        rounded: Callable[[str, float], float],
    ) -> None:
        self.backend, self.lease = backend, lease
        self.request_id, self.attempt = request_id, attempt
        self.probe, self.low_budget = probe, low_budget
        self.cost: float | None = None  # as `used` said
        self._clients, self._round = clients, rounded

    def __repr__(self) -> str:
        kind = " probe" if self.probe else ""
        return (
            f"<Route {self.request_id} to {self.backend.name!r} attempt={self.attempt}{kind} "
            f"{self.lease!r}>"
        )

    @property
    def client(self) -> httpx.AsyncClient:
        """The backend's HTTP client, which all requests of this process share. Do not close it.

        Raises:
            ModuleNotFoundError: httpx is not installed; says how to install it.
        """
        return self._clients.of(self.backend)

    async def used(
        self, input_tokens: int = 0, output_tokens: int = 0, *, cost: float | None = None
    ) -> float:
        """Say what the request used, before it ends; the last call counts. Without it what was
        expected counts.

        Args:
            cost: what it cost; None: the tokens at the backend's prices.

        Returns:
            The cost. The lease is settled at it, to the thousandth, where the backend has a price.

        Raises:
            ValueError: no tokens or cost. And what `lease.settle` raises.
        """
        tokens = check_tokens((input_tokens, output_tokens))
        if cost is None:
            cost = self.backend.cost_of(*tokens)
            is_priced = self.backend.is_priced
        else:
            validate.number("cost", cost, 0, 1e6)
            is_priced = True
        lease = self.lease
        settled = self._round(lease.agent_id, cost) if is_priced else lease.task.weight
        self.cost = cost
        await lease.settle(settled, sum(tokens) or None)
        return cost
