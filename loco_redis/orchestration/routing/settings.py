"""The values that users give: backends, how they are reached, when they count as broken. Frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from loco_redis import _validate as validate
from loco_redis.models import SharedResource

Strategy = Literal[
    "round_robin", "weighted", "least_loaded", "lowest_latency", "sticky", "cost_aware"
]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

MILLION = 1_000_000
_MOST_TOKENS = 10**9
_MOST_CAPACITY = 1_000_000
_MOST_BACKENDS = 100
_DAY = 86_400.0

#: Tokens of a request: all of them, taken for half input and half output, or (input, output).
Tokens = int | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Http:
    """How a backend's HTTP client is made.

    Attributes:
        max_connections: None: the backend's capacity.
        timeout: seconds for each of connecting, reading, writing and waiting for a connection.
        headers: of every request, such as the provider's key. Not shown.
    """

    max_connections: int | None = None
    timeout: float = 60.0
    headers: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        validate.whole("max_connections", self.max_connections, 1, _MOST_CAPACITY)
        validate.seconds("timeout", self.timeout, 0.001, _DAY)


@dataclass(frozen=True, slots=True)
class Backend:
    """One endpoint. Its slots are those of the resource `<router>-<name>`.

    Attributes:
        capacity: the most requests at once, over the whole fleet.
        model: a label for it; also whom the cost is attributed to.
        weight: its share under the strategies "weighted" and "sticky".
        rpm, tpm: requests and tokens that it takes a minute; None: no limit of the router's.
        base_url: of `route.client`.
        price_in, price_out: for a million tokens; or
        cost: for each call, whatever it uses. Neither: calls cost nothing.
        http: how `route.client` is made.

    Raises:
        ValueError: any of them out of range.
    """

    name: str
    capacity: int
    model: str | None = None
    weight: float = 1.0
    rpm: int | None = None
    tpm: int | None = None
    base_url: str | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    cost: float = 0.0
    http: Http = field(default_factory=Http)

    def __post_init__(self) -> None:
        SharedResource(self.name, self.capacity, self.rpm, self.tpm)
        validate.count("capacity of a backend", self.capacity, 1, _MOST_CAPACITY)
        validate.number("weight of a backend", self.weight, 0.001, 1e6)
        for name in ("price_in", "price_out", "cost"):
            validate.number(name, getattr(self, name), 0, validate.MAX_COST / MILLION)
        if self.cost and (self.price_in or self.price_out):
            raise ValueError(
                f"backend {self.name!r} has a cost per call and prices per token: give one of them"
            )
        for name in ("model", "base_url"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{name} must be a str or None, got {validate.shown(value)}")
        if not isinstance(self.http, Http):
            raise ValueError(
                "http must be an Http, such as Http(max_connections=10, timeout=30), "
                f"got {validate.shown(self.http)}"
            )

    @property
    def is_priced(self) -> bool:
        return bool(self.cost or self.price_in or self.price_out)

    def cost_of(self, input_tokens: int, output_tokens: int) -> float:
        """What a call costs that uses so many tokens."""
        by_token = input_tokens * self.price_in + output_tokens * self.price_out
        return self.cost + by_token / MILLION


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a backend counts as broken, for the whole fleet.

    Attributes:
        errors: so many failures
        window: within so many seconds open the breaker: nothing is routed there
        open_for: for so many seconds. Then it is half open:
        probes: so many requests at a time are let through. One that succeeds closes the breaker,
            one that fails opens it again, for twice as long as before, at most
        longest: so many seconds.
    """

    errors: int = 5
    window: float = 30.0
    open_for: float = 10.0
    probes: int = 1
    longest: float = 120.0

    def __post_init__(self) -> None:
        validate.count("errors", self.errors, 1, 1000)
        validate.count("probes", self.probes, 1, 1000)
        validate.seconds("window", self.window, 0.001, _DAY)
        validate.seconds("open_for", self.open_for, 0.001, _DAY)
        validate.seconds("longest", self.longest, self.open_for, _DAY)


@dataclass(frozen=True, slots=True)
class RouterBudget:
    """What the requests of a router may cost together before it saves. It refuses nothing: hard
    limits are `BudgetPolicy`'s.

    Attributes:
        limit: in the unit of the backends' prices.
        period: seconds (counted from 1970, on the server's clock) after which what was spent is
            forgotten; None: never.
        downgrade_at: the share of it, 0 to 1; with less left the cheapest backend is taken.
    """

    limit: float
    period: float | None = None
    downgrade_at: float = 0.2

    def __post_init__(self) -> None:
        validate.number("limit", self.limit, 1 / MILLION, validate.MAX_COST / MILLION)
        if self.period is not None:
            validate.seconds("period", self.period, 1, 366 * _DAY)
        validate.number("downgrade_at", self.downgrade_at, 0, 1)


def check_tokens(tokens: Tokens | None) -> tuple[int, int]:
    """Input and output tokens. Raises ValueError."""
    if tokens is None:
        return 0, 0
    if isinstance(tokens, tuple) and len(tokens) == 2:
        given, made = tokens
    else:
        validate.count("tokens", tokens, 0, _MOST_TOKENS)
        given, made = tokens - tokens // 2, tokens // 2
    validate.count("input tokens", given, 0, _MOST_TOKENS)
    validate.count("output tokens", made, 0, _MOST_TOKENS)
    return given, made


def check_backends(backends: Iterable[Backend]) -> Sequence[Backend]:
    """Of a router. Raises ValueError."""
    found = tuple(backends)
    for backend in found:
        if not isinstance(backend, Backend):
            raise ValueError(f"backends must be Backend objects, got {validate.shown(backend)}")
    names = [backend.name for backend in found]
    if not 1 <= len(found) <= _MOST_BACKENDS:
        raise ValueError(f"a router has 1 to {_MOST_BACKENDS} backends, got {len(found)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two backends are named {twice[0]!r}: give each a name of its own")
    return found
